"""Slots are bounded, given to the owner with the fewest, and never lost."""

from __future__ import annotations

import asyncio

import anyio
import anyio.lowlevel
import pytest

from alga_common.fair_limiter import FOREVER, FairLimiter, Outcome, share

pytestmark = pytest.mark.anyio


async def settle() -> None:
    for _ in range(5):
        await anyio.lowlevel.checkpoint()


class Line:
    """Tasks that ask for slots: those that were served, in order, and how the others ended."""

    def __init__(self, limiter: FairLimiter) -> None:
        self.limiter = limiter
        self.served: list[str] = []
        self.ended: dict[str, Outcome] = {}
        self.tasks: dict[str, asyncio.Task[None]] = {}

    async def ask(self, *names: str, timeout_s: float = FOREVER) -> None:
        """Ask for one slot for each name, whose first letter is its owner, one after the other."""
        for name in names:
            self.tasks[name] = asyncio.ensure_future(self._ask(name, timeout_s))
            await settle()

    async def _ask(self, name: str, timeout_s: float) -> None:
        outcome = await self.limiter.acquire(name[0], timeout_s)
        if outcome is Outcome.ACQUIRED:
            self.served.append(name)
        else:
            self.ended[name] = outcome

    async def release(self, *owners: str) -> None:
        """Give a slot of each owner back, one after the other."""
        for owner in owners:
            self.limiter.release(owner)
            await settle()


def nothing_is_left(limiter: FairLimiter) -> bool:
    return (limiter.used, limiter.waiting, limiter._held, limiter._queues, limiter._by_held) == (
        0,
        0,
        {},
        {},
        {},
    )


async def test_one_owner_has_no_more_than_its_share_though_there_is_room():
    line = Line(FairLimiter(4, 2, max_waiting=4))

    await line.ask("a1", "a2", "a3", "b1")

    assert line.served == ["a1", "a2", "b1"]


async def test_a_freed_slot_goes_to_the_owner_with_the_fewest():
    line = Line(FairLimiter(4, 3, max_waiting=9))
    await line.ask("a1", "a2", "a3", "b1")
    await line.ask("a4", "a5", "b2", "c1")

    await line.release("a", "a", "a")

    assert line.served[4:] == ["c1", "b2", "a4"]


async def test_one_request_is_served_next_however_many_another_has_waiting():
    line = Line(FairLimiter(1, 1, max_waiting=99))
    await line.ask("a0", *(f"a{number}" for number in range(1, 20)), "b1")

    await line.release("a", "b")

    assert line.served == ["a0", "b1", "a1"]


async def test_holders_with_equally_many_are_served_in_turn():
    line = Line(FairLimiter(1, 1, max_waiting=99))
    await line.ask("x1", "a1", "a2", "a3", "b1", "b2", "c1")

    await line.release("x", "a", "b", "c", "a", "b")

    assert line.served[1:] == ["a1", "b1", "c1", "a2", "b2", "a3"]


async def test_the_queue_is_bounded_in_total():
    line = Line(FairLimiter(1, 1, max_waiting=2))

    await line.ask("a1", "b1", "c1", "d1")

    assert line.ended == {"d1": Outcome.FULL}


async def test_the_queue_is_bounded_for_one_owner_while_others_may_wait():
    line = Line(FairLimiter(1, 1, max_waiting=3, owner_max_waiting=1))

    await line.ask("x1", "a1", "a2", "b1")

    assert line.ended == {"a2": Outcome.OWNER_FULL}
    assert line.limiter.waiting == 2


async def test_without_a_queue_a_full_holder_is_distinguished_from_a_full_limiter():
    owner, whole = Line(FairLimiter(2, 1)), Line(FairLimiter(1, 1))

    await owner.ask("a1", "a2")
    await whole.ask("a1", "b1")

    assert (owner.ended, whole.ended) == ({"a2": Outcome.OWNER_FULL}, {"b1": Outcome.FULL})


async def test_a_task_without_time_does_not_wait():
    line = Line(FairLimiter(1, 1, max_waiting=2))

    await line.ask("a1")
    await line.ask("b1", timeout_s=0)

    assert line.ended == {"b1": Outcome.TIMED_OUT}


async def test_a_task_that_waited_too_long_leaves_nothing_behind():
    line = Line(FairLimiter(1, 1, max_waiting=2))
    await line.ask("a1")
    await line.ask("b1", timeout_s=0.001)

    await line.tasks["b1"]
    await line.release("a")

    assert line.ended == {"b1": Outcome.TIMED_OUT}
    assert nothing_is_left(line.limiter)


async def test_a_task_cancelled_while_waiting_leaves_nothing_behind():
    line = Line(FairLimiter(1, 1, max_waiting=2))
    await line.ask("a1", "b1")

    line.tasks["b1"].cancel()
    await settle()
    await line.release("a")

    assert nothing_is_left(line.limiter)


async def test_a_task_cancelled_just_as_it_is_given_a_slot_passes_it_on():
    line = Line(FairLimiter(1, 1, max_waiting=2))
    await line.ask("a1", "b1", "c1")

    line.limiter.release("a")
    line.tasks["b1"].cancel()
    await settle()

    assert line.served == ["a1", "c1"]


async def test_a_slot_is_not_given_to_a_task_that_was_just_cancelled():
    line = Line(FairLimiter(1, 1, max_waiting=2))
    await line.ask("a1", "b1", "c1")

    line.tasks["b1"].cancel()
    line.limiter.release("a")
    await settle()

    assert line.served == ["a1", "c1"]


async def test_closing_refuses_the_tasks_that_wait_and_slots_can_still_be_freed():
    line = Line(FairLimiter(1, 1, max_waiting=2))
    await line.ask("a1", "b1", "c1")
    line.tasks["c1"].cancel()

    line.limiter.close()
    await line.ask("d1")
    await line.release("a")

    assert line.ended == {"b1": Outcome.CLOSED, "d1": Outcome.CLOSED}
    assert nothing_is_left(line.limiter)


async def test_the_expected_wait_follows_from_the_pace_at_which_tasks_were_served():
    line = Line(FairLimiter(1, 1, max_waiting=9))
    assert line.limiter.wait_s() is None
    await line.ask("x1", "a1", "a2", "a3", "b1")
    await line.release("x", "a")
    line.limiter._overall._since -= 10.0
    line.limiter._queues["a"]._since -= 3.0

    assert line.limiter.wait_s() == pytest.approx(
        3 * 5.0, abs=2.0
    )  # two wait, and one more; two were served in 10 s
    assert line.limiter.wait_s("a") == pytest.approx(3 * 3.0, abs=2.0)
    assert line.limiter.wait_s("unknown") is None


async def test_the_pace_is_that_of_the_last_tasks_served():
    line = Line(FairLimiter(1, 1, max_waiting=200))
    await line.ask("x0", *(f"x{number}" for number in range(1, 100)))
    line.limiter._overall._since -= 1_000.0

    await line.release(*"x" * 98)

    assert line.limiter.wait_s() < 1_000.0 / 98 * 2


def test_a_share_is_a_quarter_and_never_nothing():
    assert [share(whole) for whole in (1, 4, 5, 1000)] == [1, 1, 2, 250]
