"""Owners share the iterations of the event loop, however many guests each has."""

from __future__ import annotations

import asyncio
from collections import Counter

import anyio
import anyio.lowlevel
import pytest

from alga_runner.engine.loop_scheduler import (
    ALONE_AFTER_S,
    GUEST_TIME_S,
    OWNER_TIME_S,
    LoopScheduler,
)
from tests.support.clock import FakeMonotonic
from tests.support.patience import PATIENCE_S

pytestmark = pytest.mark.anyio


class Guests:
    """Guests that run in iterations of the loop, with a clock that only they move."""

    def __init__(self, clock: FakeMonotonic) -> None:
        self.scheduler = LoopScheduler()
        self.clock = clock
        self.ran: list[tuple[int, str]] = []

    async def run(self, owner: str, guests: int, slice_s: float) -> None:
        """Run guests one after the other, each for one slice."""
        for _ in range(guests):
            await self.scheduler.wait_to_start(owner)
            self.clock.now += slice_s
            self.ran.append((self.scheduler.iteration, owner))

    async def be_alone(self, owner: str) -> None:
        """Have no other owner ask until ``owner`` is alone, in an iteration without guests so far."""
        await self.run(owner, 1, ALONE_AFTER_S)
        await asyncio.sleep(0)


@pytest.fixture
def guests(clock: FakeMonotonic) -> Guests:
    return Guests(clock)


async def test_a_new_owner_finds_room_in_an_iteration_that_another_has_begun(
    guests: Guests, clock: FakeMonotonic
):
    assert guests.scheduler.may_start("flood")
    clock.now += OWNER_TIME_S

    assert not guests.scheduler.may_start("flood")
    assert guests.scheduler.may_start("light")


async def test_an_owner_starts_several_guests_while_its_share_lasts(guests: Guests, clock: FakeMonotonic):
    assert guests.scheduler.may_start("busy")
    clock.now += OWNER_TIME_S / 2

    assert guests.scheduler.may_start("busy")


async def test_an_owner_who_is_alone_has_all_the_time_of_guests(guests: Guests, clock: FakeMonotonic):
    await guests.be_alone("busy")
    assert guests.scheduler.may_start("busy")
    clock.now += GUEST_TIME_S * 0.9
    assert guests.scheduler.may_start("busy")
    clock.now += GUEST_TIME_S * 0.1

    assert not guests.scheduler.may_start("busy")


async def test_an_owner_has_only_its_share_once_another_asked(guests: Guests, clock: FakeMonotonic):
    await guests.be_alone("busy")
    assert guests.scheduler.may_start("busy")
    assert guests.scheduler.may_start("light")
    clock.now += OWNER_TIME_S

    assert not guests.scheduler.may_start("busy")


async def test_an_owner_has_only_its_share_once_another_found_no_time_left(guests: Guests):
    await guests.be_alone("flood")
    async with anyio.create_task_group() as tasks:
        for _ in range(30):
            tasks.start_soon(guests.run, "flood", 1, GUEST_TIME_S / 4 + 1e-9)
        tasks.start_soon(guests.run, "light", 1, OWNER_TIME_S)

    turns = Counter(iteration for iteration, owner in guests.ran[1:] if owner == "flood")
    (first,) = [iteration for iteration, owner in guests.ran if owner == "light"]
    assert first == min(turns) + 1
    assert list(turns.values()) == [4] + [1] * 26


async def test_not_even_a_new_owner_finds_room_once_the_time_of_the_iteration_is_used(
    guests: Guests, clock: FakeMonotonic
):
    assert guests.scheduler.may_start("flood")
    clock.now += GUEST_TIME_S

    assert not guests.scheduler.may_start("light")


async def test_a_new_owner_does_not_wait_behind_the_guests_of_another(guests: Guests):
    async with anyio.create_task_group() as tasks:
        for _ in range(100):
            tasks.start_soon(guests.run, "flood", 1, OWNER_TIME_S)
        await asyncio.sleep(0)
        before = len(guests.ran)
        tasks.start_soon(guests.run, "light", 1, OWNER_TIME_S)

    assert "light" in [owner for _, owner in guests.ran[before : before + 3]]


async def test_each_owner_with_waiting_guests_runs_one_in_an_iteration(guests: Guests):
    async with anyio.create_task_group() as tasks:
        for _ in range(30):
            tasks.start_soon(guests.run, "flood", 1, OWNER_TIME_S)
        for owner in ("a", "b", "c"):
            tasks.start_soon(guests.run, owner, 5, OWNER_TIME_S)

    counts: dict[int, Counter[str]] = {}
    for iteration, owner in guests.ran:
        counts.setdefault(iteration, Counter())[owner] += 1
    assert list(counts.values())[:5] == [Counter(["flood", "a", "b", "c"])] * 5


async def test_many_owners_run_equally_often_in_every_few_iterations(guests: Guests):
    owners = [f"owner {number}" for number in range(40)]
    async with anyio.create_task_group() as tasks:
        for owner in owners:
            tasks.start_soon(guests.run, owner, 5, GUEST_TIME_S / 10)

    for start in range(0, len(guests.ran), 40):
        counts = Counter(owner for _, owner in guests.ran[: start + 40])
        assert max(counts.values()) - min(counts[owner] for owner in owners) <= 2


async def test_guests_that_wait_leave_room_for_a_cancellation(guests: Guests):
    # A guest woken again and again before the loop can cancel it would never be cancelled.
    async with anyio.create_task_group() as tasks:
        tasks.start_soon(guests.run, "a", 10**6, GUEST_TIME_S)
        with anyio.fail_after(PATIENCE_S):
            with anyio.CancelScope() as scope:
                tasks.start_soon(_cancel_soon, scope)
                await guests.run("b", 10**6, GUEST_TIME_S)
        assert scope.cancelled_caught
        tasks.cancel_scope.cancel()


async def _cancel_soon(scope: anyio.CancelScope) -> None:
    for _ in range(3):
        await anyio.lowlevel.checkpoint()
    scope.cancel()


async def test_a_queue_whose_guests_were_all_cancelled_is_dropped(guests: Guests, clock: FakeMonotonic):
    assert guests.scheduler.may_start("a")
    clock.now += GUEST_TIME_S
    gone = [asyncio.ensure_future(guests.scheduler.wait_to_start("a")) for _ in range(3)]
    await asyncio.sleep(0)
    for waiting in gone:
        waiting.cancel()
    guests.scheduler._begin_iteration(asyncio.get_running_loop())

    await asyncio.wait(gone)

    assert not guests.scheduler._queues
    assert guests.scheduler.may_start("a")


async def begin_next(guests: Guests) -> None:
    """Return in an iteration that begins, before the guests that it wakes run."""
    before = guests.scheduler.iteration
    while guests.scheduler.iteration == before:
        await anyio.lowlevel.checkpoint()


async def test_a_guest_with_an_answer_goes_on_before_those_of_its_owner_that_wait_to_start(guests: Guests):
    async with anyio.create_task_group() as tasks:
        for _ in range(3):
            tasks.start_soon(guests.run, "busy", 1, GUEST_TIME_S)
        await asyncio.sleep(0)
        await begin_next(guests)

        assert not guests.scheduler.may_start("busy")
        assert guests.scheduler.may_resume("busy")


async def test_guests_with_answers_wait_behind_one_that_they_left_no_time_to_start(
    guests: Guests, clock: FakeMonotonic
):
    async with anyio.create_task_group() as tasks:
        for _ in range(4):
            tasks.start_soon(guests.run, "busy", 1, GUEST_TIME_S)
        await asyncio.sleep(0)
        await begin_next(guests)
        ran = len(guests.ran)
        assert guests.scheduler.may_resume("busy")
        clock.now += GUEST_TIME_S
        await begin_next(guests)
        assert len(guests.ran) == ran

        assert not guests.scheduler.may_resume("busy")
        while len(guests.ran) == ran:
            await begin_next(guests)
        assert guests.scheduler.may_resume("busy")


async def test_guests_with_answers_have_one_turn_while_another_owner_waits(guests: Guests):
    async with anyio.create_task_group() as tasks:
        for owner in ("busy", "busy", "light"):
            tasks.start_soon(guests.run, owner, 1, GUEST_TIME_S)
        await asyncio.sleep(0)
        await begin_next(guests)

        assert guests.scheduler.may_resume("busy")
        assert not guests.scheduler.may_resume("busy")


async def test_a_guest_with_an_answer_ends_the_time_in_which_another_owner_is_alone(
    guests: Guests, clock: FakeMonotonic
):
    await guests.be_alone("busy")
    assert guests.scheduler.may_start("busy")
    assert guests.scheduler.may_resume("light")
    clock.now += OWNER_TIME_S

    assert not guests.scheduler.may_start("busy")
