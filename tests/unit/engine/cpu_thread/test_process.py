"""The CPU thread serves the event loops of its process, and returns their guests when either ends."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Coroutine
from typing import Any

import anyio
import pytest

from alga_runner.engine import Budget, Guest, GuestLimits, LinkedModule, run_call
from alga_runner.engine.cpu_thread import CpuThread
from alga_runner.errors import EngineUnavailable
from tests.support.cpu_thread import Start, SteppedCpuThread, failure_of, iterate, submit
from tests.support.patience import start_guests_when_they_ask


async def spin(thread: CpuThread, linked: LinkedModule, limits: GuestLimits) -> None:
    with linked.new_guest(limits) as guest:
        guest.instantiate()
        guest.poll()
        guest.call("spin", 1)
        await thread.run(guest, Budget())


def abandoned(coroutine: Coroutine[Any, Any, None]) -> tuple[asyncio.AbstractEventLoop, asyncio.Task[None]]:
    """A loop that stopped while the task of ``coroutine`` waits."""
    loop = asyncio.new_event_loop()
    loop.set_exception_handler(lambda *_: None)  # it would report that a task was destroyed
    task = loop.create_task(coroutine)
    loop.run_until_complete(iterate())
    return loop, task


def test_a_guest_whose_coroutine_is_closed_is_freed_once_the_cpu_thread_returned_it(
    cpu_thread: CpuThread, linked: LinkedModule, limits: GuestLimits
):
    coroutine = spin(cpu_thread, linked, limits)
    loop, _task = abandoned(coroutine)
    coroutine.close()

    assert (cpu_thread._running, cpu_thread.waiting) == (None, 0)
    assert linked.engine.ticker.live == 0
    loop.close()


def test_a_guest_whose_owner_s_loop_was_closed_is_freed(linked: LinkedModule, limits: GuestLimits):
    stepped = SteppedCpuThread()
    loop, task = abandoned(spin(stepped, linked, limits))
    loop.close()
    del task
    assert linked.engine.ticker.live == 1

    stepped.run_slice()

    assert not stepped.waiting
    assert linked.engine.ticker.live == 0


def test_loops_in_several_threads_share_it(cpu_thread: CpuThread, linked: LinkedModule, limits: GuestLimits):
    seen: list[str] = []

    async def live(answered_in: str) -> None:
        async def answer(_function: int, arguments: tuple[int]) -> None:
            seen.append(f"{arguments[0]} {answered_in == threading.current_thread().name}")

        for _ in range(20):
            with linked.new_guest(limits) as guest:
                guest.instantiate()
                guest.poll()
                guest.call("note", 5)
                assert not await cpu_thread.run(guest, Budget())
                call = guest.pending
                assert call is not None
                guest.resume(await answer(*call))
                assert await cpu_thread.run(guest, Budget())

    threads = [
        threading.Thread(target=asyncio.run, args=(live(f"loop {number}"),), name=f"loop {number}")
        for number in range(2)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    assert seen == ["5 True"] * 40
    assert linked.engine.ticker.live == 0


@pytest.mark.anyio
async def test_a_thread_that_cannot_be_started_ends_the_guest_with_a_sentence(
    start: Start, monkeypatch: pytest.MonkeyPatch
):
    def fail(_thread: threading.Thread) -> None:
        raise RuntimeError("can't start new thread")

    monkeypatch.setattr(threading.Thread, "start", fail)
    cpu_thread, guest = CpuThread(), start("spin")

    with pytest.raises(EngineUnavailable, match="can't start new thread"):
        await cpu_thread.run(guest, Budget())
    assert guest.reclaim is None


@pytest.mark.anyio
async def test_guests_that_wait_as_it_stops_are_returned_with_a_sentence(
    stepped: SteppedCpuThread, start: Start
):
    tasks = [await submit(stepped, start("spin")) for _ in range(3)]
    stepped.run_slice()
    stepped.stop()

    for task in tasks:
        assert isinstance(await failure_of(task), EngineUnavailable)


@pytest.mark.anyio
async def test_no_guest_is_taken_after_it_stopped(cpu_thread: CpuThread, start: Start):
    guest = start("count")
    cpu_thread.stop()

    with pytest.raises(EngineUnavailable, match="about to end"):
        await cpu_thread.run(guest, Budget())
    assert guest.reclaim is None


@pytest.mark.anyio
async def test_a_guest_that_spins_moves_to_the_cpu_thread_and_back_at_its_next_host_call(
    linked: LinkedModule, limits: GuestLimits, monkeypatch: pytest.MonkeyPatch
):
    events: list[str] = []
    poll = Guest.poll

    def record(guest: Guest, *, release_gil: bool = False) -> bool:
        events.append("cpu" if threading.current_thread().name == "alga-runner-cpu" else "loop")
        return poll(guest, release_gil=release_gil)

    async def note(_function: int, arguments: tuple[int]) -> None:
        events.append(f"note {arguments[0]}")

    async def let_it_go_on() -> None:
        """Write the value that the guest computes until it reads, once the CPU thread has the guest."""
        while True:
            if guest.reclaim is not None:
                assert guest.memory is not None
                guest.memory.write(64, b"\1")
            await anyio.lowlevel.checkpoint()

    start_guests_when_they_ask(monkeypatch)  # one that waits to start goes where its module's guests compute
    monkeypatch.setattr(Guest, "poll", record)
    with linked.new_guest(limits) as guest:
        guest.instantiate()
        await run_call(guest, note)
        guest.call("work", 0)
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(let_it_go_on)
            await run_call(guest, note)
            tasks.cancel_scope.cancel()

    between = " ".join(events).split("note")
    assert between[0].endswith("cpu ")
    assert between[1].startswith(" 1 loop ")
    assert between[2].startswith(" 2 loop ")
    assert between[3].startswith(" 3 loop ")
    assert between[3].endswith("cpu ")
    assert between[4].startswith(" 4 loop")
