"""Whatever comes in whatever order, the bounds hold, nobody waits for a place that is free, and none is lost."""

from __future__ import annotations

import asyncio
from collections import Counter
from random import Random

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

from alga_common.fair_limiter import Entry, FairLimiter

LIMIT, OF_ONE, QUEUE, QUEUE_OF_ONE = 3, 2, 5, 3

holders = st.sampled_from("abc")


class Asked:
    """One who asked for a place."""

    def __init__(self, holder: str, task: asyncio.Task[Entry]) -> None:
        self.holder = holder
        self.task = task
        self.left = False

    @property
    def has_place(self) -> bool:
        return self.task.done() and not self.task.cancelled() and self.task.result() is Entry.TAKEN


class PlacesMachine(RuleBasedStateMachine):
    """Tasks that ask, wait, are cancelled, run out of patience and leave; the event loop runs when a rule lets it."""

    def __init__(self) -> None:
        super().__init__()
        self.now = 0.0
        self.loop = asyncio.new_event_loop()
        self.loop.time = lambda: self.now  # type: ignore[method-assign]
        self.places = FairLimiter(LIMIT, OF_ONE, queue=QUEUE, holder_queue=QUEUE_OF_ONE)
        self.closed = False
        self.all: list[Asked] = []

    def run_loop(self) -> None:
        self.loop.call_soon(self.loop.stop)
        self.loop.run_forever()

    @property
    def having(self) -> list[Asked]:
        return [one for one in self.all if one.has_place and not one.left]

    @property
    def asking(self) -> list[Asked]:
        return [one for one in self.all if not one.task.done()]

    @rule(asking=st.lists(st.tuples(holders, st.sampled_from((0.0, 1.0, 5.0))), min_size=1, max_size=4))
    def ask(self, asking: list[tuple[str, float]]) -> None:
        for holder, patience_s in asking:
            task = self.loop.create_task(self.places.take(holder, patience_s))
            self.all.append(Asked(holder, task))

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
        one = choice.choice(self.having)
        held = Counter(self.places._held)
        held[one.holder] -= 1
        waiting = {
            holder: held[holder]
            for holder, line in self.places._lines.items()
            if any(not waiter.done() for waiter in line.waiting) and held[holder] < OF_ONE
        }
        one.left = True
        self.places.free(one.holder)
        if waiting and not self.closed:
            (served,) = (Counter(self.places._held) - held).elements()
            assert held[served] == min(waiting.values()), "who holds the fewest is served first"

    @precondition(lambda self: len(self.all) > 20)  # late, or there is little to see
    @rule()
    def close(self) -> None:
        self.closed = True
        self.places.close()

    @invariant()
    def the_bounds_hold(self) -> None:
        held = self.places._held
        assert self.places.taken == sum(held.values()) <= LIMIT
        assert all(0 < count <= OF_ONE for count in held.values())
        lines = [len(line.waiting) for line in self.places._lines.values()]
        assert self.places.queued == sum(lines) <= QUEUE
        assert all(0 < length <= QUEUE_OF_ONE for length in lines)

    @invariant()
    def who_has_a_place_is_counted(self) -> None:
        having = Counter(one.holder for one in self.having)
        assert not having - Counter(self.places._held)

    @invariant()
    def nobody_waits_for_a_place_that_is_free(self) -> None:
        if self.places.taken < LIMIT and not self.closed:
            for holder, line in self.places._lines.items():
                live = any(not waiter.done() for waiter in line.waiting)
                assert not live or self.places._held.get(holder, 0) >= OF_ONE

    def teardown(self) -> None:
        for one in self.all:
            one.task.cancel()
        for _ in range(4):
            self.run_loop()
        for one in self.all:
            assert one.task.done()
            if one.has_place and not one.left:
                self.places.free(one.holder)
        for _ in range(4):
            self.run_loop()
        places = self.places
        left = (places.taken, places.queued, places._held, places._lines, places._by_held)
        self.loop.close()
        assert left == (0, 0, {}, {}, {}), "a place was lost"


PlacesMachine.TestCase.settings = settings(
    max_examples=80, stateful_step_count=50, deadline=None, database=None
)
TestPlaces = PlacesMachine.TestCase
