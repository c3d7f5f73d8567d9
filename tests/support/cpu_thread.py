"""A CPU thread whose slices a test runs one by one, and what tests of the CPU thread share."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Awaitable, Callable

from alga_runner.engine import Budget, Guest
from alga_runner.engine.cpu_thread import CpuThread
from alga_runner.frames import Frame

Start = Callable[..., Guest]
"""Starts a call of an export in a fresh guest."""


class Refused(Exception):
    """A host's own exception."""


class SteppedCpuThread(CpuThread):
    """Has no thread of its own: the test runs its slices, ``stepped.run_slice()``."""

    def _start(self) -> None:
        self._thread = threading.current_thread()

    def run_slice(self) -> bool:
        return self._run_slice()

    def stop(self) -> None:
        self._thread = None
        super().stop()


async def iterate(times: int = 3) -> None:
    """Let the event loop run a few iterations."""
    for _ in range(times):
        await asyncio.sleep(0)


async def submit(thread: CpuThread, guest: Guest, budget: Budget | None = None) -> asyncio.Task[bool]:
    """Submit ``guest`` to ``thread``; the task ends when the guest is returned."""
    task = asyncio.get_running_loop().create_task(thread.run(guest, budget or Budget()))
    await iterate()
    return task


async def cancel_all(thread: CpuThread, tasks: list[asyncio.Task[bool]]) -> None:
    """Cancel ``tasks``, which leaves no guest in ``thread``."""
    for task in tasks:
        task.cancel()
    await iterate()
    await asyncio.wait(tasks)
    assert not thread.waiting


async def failure_of(work: Awaitable[object]) -> BaseException:
    try:
        await work
    except BaseException as error:  # noqa: BLE001
        return error
    raise AssertionError("it did not fail")


def names(stack: tuple[Frame, ...]) -> list[str]:
    return [frame.function for frame in stack]
