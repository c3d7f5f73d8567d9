"""Guests on fibers: the numbers they exchange with the host, their memory, their end."""

from __future__ import annotations

import struct
from collections.abc import Sequence

import anyio
import pytest

from alga_runner.engine import Guest, run_call
from alga_runner.errors import ExportMissing, GuestTrap, OutOfBounds, Overloaded

pytestmark = pytest.mark.anyio


def settled(guest: Guest) -> bool:
    """Poll a guest past the slices that a tick ended early; whether it is done. One that spins is left after a few."""
    return any(guest.poll() or guest.pending is not None for _ in range(5)) and guest.pending is None


class Refused(Exception):
    """A host's own exception."""


async def test_integers_arrive_unsigned_and_floats_exactly(run):
    seen = []

    await run("ask", lambda *arguments: seen.append(arguments) or 0)

    assert seen == [(0xFFFFFFFF, 0xFFFFFFFFFFFFFFFE, 1.5, -2.5)]


async def test_an_answer_of_any_width_arrives(run):
    memory = await run("numbers", None, None, 2**64 - 1, 0.5, -0.25)

    assert struct.unpack("<Qf4xd", memory) == (2**64 - 1, 0.5, -0.25)


async def test_the_largest_i32_arrives(run):
    memory = await run("ask", 0xFFFFFFFF)

    assert memory[:4] == b"\xff\xff\xff\xff"


async def test_each_guest_starts_from_the_module_alone(run):
    first = await run("count")
    second = await run("count")

    assert first[0] == second[0] == 1


async def test_the_host_s_own_exception_reaches_the_caller_of_run_call(run):
    def refuse(_: int) -> None:
        raise Refused

    with pytest.raises(Refused):
        await run("note", None, refuse)


async def test_an_exception_of_one_guest_is_never_seen_by_another(linked, limits):
    seen: dict[int, list[str]] = {0: [], 1: []}

    async def live(number: int) -> None:
        async def answer(_: int, __: Sequence[object]) -> None:
            await anyio.lowlevel.checkpoint()
            if number == 0:
                raise Refused

        for _ in range(50):
            try:
                with linked.new_guest(limits) as guest:
                    guest.instantiate()
                    await run_call(guest, answer)
                    guest.call("note" if number == 0 else "boom", 1)
                    await run_call(guest, answer)
            except (Refused, GuestTrap) as error:
                seen[number].append(type(error).__name__)

    async with anyio.create_task_group() as tasks:
        tasks.start_soon(live, 0)
        tasks.start_soon(live, 1)

    assert set(seen[0]) == {"Refused"}
    assert set(seen[1]) == {"GuestTrap"}
    assert len(seen[0]) == len(seen[1]) == 50


async def test_guests_are_suspended_side_by_side(linked, limits):
    waiting, finished = anyio.Event(), []

    async def live(number: int) -> None:
        async def answer(_: int, __: Sequence[object]) -> None:
            await waiting.wait()

        with linked.new_guest(limits) as guest:
            guest.instantiate()
            await run_call(guest, answer)
            guest.call("note", number)
            await run_call(guest, answer)
            finished.append(number)

    async with anyio.create_task_group() as tasks:
        for number in range(4):
            tasks.start_soon(live, number)
        await anyio.wait_all_tasks_blocked()
        assert linked.engine.ticker.live == 4
        waiting.set()

    assert sorted(finished) == [0, 1, 2, 3]


@pytest.mark.parametrize("export", ["note", "spin"])
async def test_cancellation_frees_a_guest_wherever_it_is(linked, limits, export: str):
    async def never(_: int, __: Sequence[object]) -> None:
        await anyio.sleep_forever()

    for _ in range(10):  # more than there are slots: none may be lost
        with anyio.move_on_after(0.005) as scope, linked.new_guest(limits) as guest:
            guest.instantiate()
            await run_call(guest, never)
            guest.call(export, 1)
            await run_call(guest, never)
        assert scope.cancelled_caught

    assert linked.engine.ticker.live == 0


@pytest.mark.parametrize("stage", ["made", "instantiated", "suspended", "sliced", "trapped", "done"])
async def test_a_slot_comes_back_from_every_stage(linked, limits, stage: str):
    for _ in range(10):
        guest = linked.new_guest(limits)
        if stage != "made":
            guest.instantiate()
            settled(guest)
        if stage in {"suspended", "sliced"}:
            guest.call("note" if stage == "suspended" else "spin", 1)
            assert not settled(guest)
        if stage == "trapped":
            guest.call("boom", 1)
            with pytest.raises(GuestTrap):
                settled(guest)
        if stage == "done":
            guest.call("count", 1)
            assert settled(guest)
        guest.close()

    assert linked.engine.ticker.live == 0


async def test_closing_twice_is_harmless(linked, limits):
    guest = linked.new_guest(limits)
    guest.close()
    guest.close()

    assert linked.engine.ticker.live == 0


async def test_one_guest_more_than_there_are_slots_is_refused(linked, limits):
    guests = [linked.new_guest(limits) for _ in range(5)]
    try:
        for guest in guests[:4]:
            guest.instantiate()
            assert settled(guest)
        guests[4].instantiate()
        with pytest.raises(Overloaded):
            settled(guests[4])
    finally:
        for guest in guests:
            guest.close()


async def test_the_event_loop_goes_on_while_a_guest_spins(linked, limits):
    iterations = 0

    async def count_iterations() -> None:
        nonlocal iterations
        while True:
            iterations += 1
            await anyio.lowlevel.checkpoint()

    async def spin() -> None:
        with linked.new_guest(limits) as guest:
            guest.instantiate()
            settled(guest)
            guest.call("spin", 1)
            await run_call(guest, lambda _function, _arguments: None)

    async with anyio.create_task_group() as tasks:
        tasks.start_soon(spin)
        tasks.start_soon(count_iterations)
        while iterations < 20:
            await anyio.lowlevel.checkpoint()
        tasks.cancel_scope.cancel()

    assert iterations >= 20


async def test_an_export_that_is_not_there(linked, limits):
    with linked.new_guest(limits) as guest:
        guest.instantiate()
        settled(guest)
        with pytest.raises(ExportMissing, match="nothing"):
            guest.call("nothing", 1)


@pytest.mark.parametrize("stage", ["made", "done", "closed"])
async def test_a_guest_with_nothing_to_run_is_not_polled(linked, limits, stage: str):
    with linked.new_guest(limits) as guest:
        if stage != "made":
            guest.instantiate()
            guest.poll()
        if stage == "closed":
            guest.close()
        with pytest.raises(RuntimeError, match="nothing to run"):
            guest.poll()


async def test_nothing_is_answered_twice(linked, limits):
    with linked.new_guest(limits) as guest:
        guest.instantiate()
        settled(guest)
        with pytest.raises(RuntimeError, match="waits for no answer"):
            guest.resume(1)


@pytest.fixture
def memory(linked, limits):
    with linked.new_guest(limits) as guest:
        guest.instantiate()
        settled(guest)
        yield guest.memory


async def test_bytes_written_to_memory_are_read_back(memory):
    memory.write(100, b"hello")

    assert memory.read(100, 5) == b"hello"


@pytest.mark.parametrize(("offset", "length"), [(65536, 0), (0, 65536), (65535, 1)])
async def test_a_range_may_reach_to_the_end_of_memory(memory, offset: int, length: int):
    assert len(memory.read(offset, length)) == length


@pytest.mark.parametrize(
    ("offset", "length"), [(65536, 1), (65537, 0), (0, 65537), (0xFFFFFFFF, 1), (0xFFFFFFFF, 0xFFFFFFFF)]
)
async def test_a_range_beyond_the_end_of_memory_is_refused(memory, offset: int, length: int):
    with pytest.raises(OutOfBounds):
        memory.read(offset, length)


async def test_a_write_across_the_end_of_memory_writes_nothing(memory):
    with pytest.raises(OutOfBounds):
        memory.write(65534, b"abc")

    assert memory.read(65534, 2) == b"\0\0"


async def test_memory_that_grew_can_be_reached(linked, limits):
    with linked.new_guest(limits) as guest:
        guest.instantiate()
        settled(guest)
        with pytest.raises(OutOfBounds):
            guest.memory.read(65536, 1)
        guest.call("grow", 1)
        settled(guest)

        assert guest.memory.read(65536, 65536) == bytes(65536)


async def test_growth_past_the_limit_is_refused_to_the_guest(run):
    memory = await run("grow", argument=16)

    assert memory[:4] == b"\xff\xff\xff\xff"


def test_a_guest_that_may_grow_no_more_gets_minus_one_and_goes_on(linked, limits) -> None:
    with linked.new_guest(limits) as guest:
        guest.instantiate()
        assert guest.poll()
        guest.call("note", 1)
        assert not settled(guest)
        guest.stop_growing()
        guest.resume()
        assert settled(guest)

        guest.call("grow", 1)
        assert settled(guest)
        assert int.from_bytes(guest.memory.read(0, 4), "little", signed=True) == -1
