"""In any order of events the bounds hold, no task waits for a free slot, and no slot is lost."""

from __future__ import annotations

import asyncio
from collections import Counter
from random import Random

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

from alga_common.fair_limiter import FairLimiter, Outcome

LIMIT, OF_ONE, WAITING, WAITING_OF_ONE = 3, 2, 5, 3

owners = st.sampled_from("abc")


class Asked:
    """A task that asked for a slot."""

    def __init__(self, owner: str, task: asyncio.Task[Outcome]) -> None:
        self.owner = owner
        self.task = task
        self.left = False

    @property
    def has_slot(self) -> bool:
        return self.task.done() and not self.task.cancelled() and self.task.result() is Outcome.ACQUIRED


class FairLimiterMachine(RuleBasedStateMachine):
    """Tasks that ask, wait, are cancelled, run out of time and leave; the event loop runs when a rule lets it."""

    def __init__(self) -> None:
        super().__init__()
        self.now = 0.0
        self.loop = asyncio.new_event_loop()
        self.loop.time = lambda: self.now  # type: ignore[method-assign]
        self.limiter = FairLimiter(LIMIT, OF_ONE, max_waiting=WAITING, owner_max_waiting=WAITING_OF_ONE)
        self.closed = False
        self.all: list[Asked] = []

    def run_loop(self) -> None:
        self.loop.call_soon(self.loop.stop)
        self.loop.run_forever()

    @property
    def having(self) -> list[Asked]:
        return [asked for asked in self.all if asked.has_slot and not asked.left]

    @property
    def asking(self) -> list[Asked]:
        return [asked for asked in self.all if not asked.task.done()]

    @rule(asking=st.lists(st.tuples(owners, st.sampled_from((0.0, 1.0, 5.0))), min_size=1, max_size=4))
    def ask(self, asking: list[tuple[str, float]]) -> None:
        for owner, timeout_s in asking:
            task = self.loop.create_task(self.limiter.acquire(owner, timeout_s))
            self.all.append(Asked(owner, task))

    @rule()
    def let_the_loop_run(self) -> None:
        self.run_loop()

    @rule(seconds=st.sampled_from((0.5, 1.0, 4.0)))
    def let_time_pass(self, seconds: float) -> None:
        self.now += seconds
        self.run_loop()

    @precondition(lambda self: self.asking)
    @rule(choice=st.randoms(use_true_random=False))
    def cancel(self, choice: Random) -> None:
        choice.choice(self.asking).task.cancel()

    @precondition(lambda self: self.having)
    @rule(choice=st.randoms(use_true_random=False))
    def leave(self, choice: Random) -> None:
        asked = choice.choice(self.having)
        held = Counter(self.limiter._held)
        held[asked.owner] -= 1
        waiting = {
            owner: held[owner]
            for owner, queue in self.limiter._queues.items()
            if any(not waiter.done() for waiter in queue.waiting) and held[owner] < OF_ONE
        }
        asked.left = True
        self.limiter.release(asked.owner)
        if waiting and not self.closed:
            (served,) = (Counter(self.limiter._held) - held).elements()
            assert held[served] == min(waiting.values()), "the owner with the fewest is served first"

    @precondition(lambda self: len(self.all) > 20)  # late, or there is little to see
    @rule()
    def close(self) -> None:
        self.closed = True
        self.limiter.close()

    @invariant()
    def the_bounds_hold(self) -> None:
        held = self.limiter._held
        assert self.limiter.used == sum(held.values()) <= LIMIT
        assert all(0 < count <= OF_ONE for count in held.values())
        lengths = [len(queue.waiting) for queue in self.limiter._queues.values()]
        assert self.limiter.waiting == sum(lengths) <= WAITING
        assert all(0 < length <= WAITING_OF_ONE for length in lengths)

    @invariant()
    def tasks_with_a_slot_are_counted(self) -> None:
        having = Counter(asked.owner for asked in self.having)
        assert not having - Counter(self.limiter._held)

    @invariant()
    def no_task_waits_for_a_free_slot(self) -> None:
        if self.limiter.used < LIMIT and not self.closed:
            for owner, queue in self.limiter._queues.items():
                live = any(not waiter.done() for waiter in queue.waiting)
                assert not live or self.limiter._held.get(owner, 0) >= OF_ONE

    def teardown(self) -> None:
        for asked in self.all:
            asked.task.cancel()
        for _ in range(4):
            self.run_loop()
        for asked in self.all:
            assert asked.task.done()
            if asked.has_slot and not asked.left:
                self.limiter.release(asked.owner)
        for _ in range(4):
            self.run_loop()
        limiter = self.limiter
        left = (limiter.used, limiter.waiting, limiter._held, limiter._queues, limiter._by_held)
        self.loop.close()
        assert left == (0, 0, {}, {}, {}), "a slot was lost"


FairLimiterMachine.TestCase.settings = settings(max_examples=80, stateful_step_count=50, database=None)
TestFairLimiter = FairLimiterMachine.TestCase
