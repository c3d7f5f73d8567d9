"""Places are bounded, given to the holder with the fewest, and never lost."""

from __future__ import annotations

import asyncio

import anyio
import anyio.lowlevel
import pytest

from alga_common.fair_limiter import FOREVER, Entry, FairLimiter, share

pytestmark = pytest.mark.anyio


async def settle() -> None:
    for _ in range(5):
        await anyio.lowlevel.checkpoint()


class Line:
    """Tasks that ask for places: those that were served, in order, and how the others ended."""

    def __init__(self, limiter: FairLimiter) -> None:
        self.limiter = limiter
        self.served: list[str] = []
        self.ended: dict[str, Entry] = {}
        self.tasks: dict[str, asyncio.Task[None]] = {}

    async def ask(self, *names: str, patience_s: float = FOREVER) -> None:
        """Ask for one place for each name, whose first letter is its holder, one after the other."""
        for name in names:
            self.tasks[name] = asyncio.ensure_future(self._ask(name, patience_s))
            await settle()

    async def _ask(self, name: str, patience_s: float) -> None:
        entry = await self.limiter.take(name[0], patience_s)
        if entry is Entry.TAKEN:
            self.served.append(name)
        else:
            self.ended[name] = entry

    async def free(self, *holders: str) -> None:
        """Give a place of each holder back, one after the other."""
        for holder in holders:
            self.limiter.free(holder)
            await settle()


def nothing_is_left(limiter: FairLimiter) -> bool:
    return (limiter.taken, limiter.queued, limiter._held, limiter._lines, limiter._by_held) == (
        0,
        0,
        {},
        {},
        {},
    )


async def test_one_holder_has_no_more_than_its_share_though_there_is_room():
    line = Line(FairLimiter(4, 2, queue=4))

    await line.ask("a1", "a2", "a3", "b1")

    assert line.served == ["a1", "a2", "b1"]


async def test_a_freed_place_goes_to_the_holder_with_the_fewest():
    line = Line(FairLimiter(4, 3, queue=9))
    await line.ask("a1", "a2", "a3", "b1")
    await line.ask("a4", "a5", "b2", "c1")

    await line.free("a", "a", "a")

    assert line.served[4:] == ["c1", "b2", "a4"]


async def test_one_request_is_served_next_however_many_another_has_waiting():
    line = Line(FairLimiter(1, 1, queue=99))
    await line.ask("a0", *(f"a{number}" for number in range(1, 20)), "b1")

    await line.free("a", "b")

    assert line.served == ["a0", "b1", "a1"]


async def test_holders_with_equally_many_are_served_in_turn():
    line = Line(FairLimiter(1, 1, queue=99))
    await line.ask("x1", "a1", "a2", "a3", "b1", "b2", "c1")

    await line.free("x", "a", "b", "c", "a", "b")

    assert line.served[1:] == ["a1", "b1", "c1", "a2", "b2", "a3"]


async def test_the_queue_is_bounded_in_total():
    line = Line(FairLimiter(1, 1, queue=2))

    await line.ask("a1", "b1", "c1", "d1")

    assert line.ended == {"d1": Entry.FULL}


async def test_the_queue_is_bounded_for_one_holder_while_others_may_wait():
    line = Line(FairLimiter(1, 1, queue=3, holder_queue=1))

    await line.ask("x1", "a1", "a2", "b1")

    assert line.ended == {"a2": Entry.HOLDER_FULL}
    assert line.limiter.queued == 2


async def test_without_a_queue_a_full_holder_is_distinguished_from_a_full_limiter():
    holder, whole = Line(FairLimiter(2, 1)), Line(FairLimiter(1, 1))

    await holder.ask("a1", "a2")
    await whole.ask("a1", "b1")

    assert (holder.ended, whole.ended) == ({"a2": Entry.HOLDER_FULL}, {"b1": Entry.FULL})


async def test_a_task_without_time_does_not_wait():
    line = Line(FairLimiter(1, 1, queue=2))

    await line.ask("a1")
    await line.ask("b1", patience_s=0)

    assert line.ended == {"b1": Entry.LATE}


async def test_a_task_that_waited_too_long_leaves_nothing_behind():
    line = Line(FairLimiter(1, 1, queue=2))
    await line.ask("a1")
    await line.ask("b1", patience_s=0.001)

    await line.tasks["b1"]
    await line.free("a")

    assert line.ended == {"b1": Entry.LATE}
    assert nothing_is_left(line.limiter)


async def test_a_task_cancelled_while_waiting_leaves_nothing_behind():
    line = Line(FairLimiter(1, 1, queue=2))
    await line.ask("a1", "b1")

    line.tasks["b1"].cancel()
    await settle()
    await line.free("a")

    assert nothing_is_left(line.limiter)


async def test_a_task_cancelled_just_as_it_is_given_a_place_passes_it_on():
    line = Line(FairLimiter(1, 1, queue=2))
    await line.ask("a1", "b1", "c1")

    line.limiter.free("a")
    line.tasks["b1"].cancel()
    await settle()

    assert line.served == ["a1", "c1"]


async def test_a_place_is_not_given_to_a_task_that_was_just_cancelled():
    line = Line(FairLimiter(1, 1, queue=2))
    await line.ask("a1", "b1", "c1")

    line.tasks["b1"].cancel()
    line.limiter.free("a")
    await settle()

    assert line.served == ["a1", "c1"]


async def test_closing_refuses_the_tasks_that_wait_and_places_can_still_be_freed():
    line = Line(FairLimiter(1, 1, queue=2))
    await line.ask("a1", "b1", "c1")
    line.tasks["c1"].cancel()

    line.limiter.close()
    await line.ask("d1")
    await line.free("a")

    assert line.ended == {"b1": Entry.CLOSED, "d1": Entry.CLOSED}
    assert nothing_is_left(line.limiter)


async def test_the_expected_wait_follows_from_the_pace_at_which_tasks_were_served():
    line = Line(FairLimiter(1, 1, queue=9))
    assert line.limiter.wait_s() is None
    await line.ask("x1", "a1", "a2", "a3", "b1")
    await line.free("x", "a")
    line.limiter._whole._since -= 10.0
    line.limiter._lines["a"]._since -= 3.0

    assert line.limiter.wait_s() == pytest.approx(
        3 * 5.0, abs=2.0
    )  # two wait, and one more; two were served in 10 s
    assert line.limiter.wait_s("a") == pytest.approx(3 * 3.0, abs=2.0)
    assert line.limiter.wait_s("unknown") is None


async def test_the_pace_is_that_of_the_last_tasks_served():
    line = Line(FairLimiter(1, 1, queue=200))
    await line.ask("x0", *(f"x{number}" for number in range(1, 100)))
    line.limiter._whole._since -= 1_000.0

    await line.free(*"x" * 98)

    assert line.limiter.wait_s() < 1_000.0 / 98 * 2


def test_a_share_is_a_quarter_and_never_nothing():
    assert [share(whole) for whole in (1, 4, 5, 1000)] == [1, 1, 2, 250]
