"""What tests wait for, and what they let pass, on a machine that gives them little time."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import TypeVar

import anyio
import pytest

from alga_runner import Runner
from alga_runner.engine import Budget

PATIENCE_S = 110
"""How long a test waits for an event that a fault alone can keep away, in seconds. No test measures with it."""

PASSED = 0.0
"""A deadline that has passed, as a reading of ``time.monotonic()``."""

PATIENT = {"default_timeout_ms": 300_000, "queue_timeout_ms": 300_000}
"""Settings of a runner whose executions, and those that wait for a place, have all the time that they need."""

T = TypeVar("T")


def keep_guests_on_the_loop(monkeypatch: pytest.MonkeyPatch) -> None:
    """Have no slice or run count as long: only a tick and a host call end one, and none goes to the CPU thread for it.

    On a slow machine a guest that adds two numbers may otherwise pass for one that computes.
    """
    for name in ("drive.FULL_SLICE_S", "drive.COMPUTED_S", "drive.OVERRUN_S", "cpu_thread.OVERRUN_S"):
        monkeypatch.setattr(f"alga_runner.engine.{name}", PATIENCE_S)


def read_all_lines(monkeypatch: pytest.MonkeyPatch) -> None:
    """Have each error of a guest wait until its files and lines are read, as long as that takes."""
    monkeypatch.setattr("alga_runner.execution.symbolizer.PATIENCE_S", PATIENCE_S)


def start_guests_when_they_ask(monkeypatch: pytest.MonkeyPatch) -> None:
    """Have every loop iteration have time for all guests, so that none waits for a later one."""
    for name in ("GUEST_TIME_S", "OWNER_TIME_S"):
        monkeypatch.setattr(f"alga_runner.engine.loop_scheduler.{name}", PATIENCE_S)


async def past_its_deadline(runner: Runner, execution: Awaitable[T], once: Callable[[Budget], bool]) -> T:
    """Return the outcome of ``execution``, the only one of ``runner``, whose deadline passes ``once`` that is true.

    A short time limit would pass earlier on a slow machine: while the module is loaded, or the guest waits to start.
    """
    outcome = asyncio.ensure_future(execution)
    with anyio.fail_after(PATIENCE_S):
        while not any(map(once, runner._under_way)):
            assert not outcome.done(), outcome
            await anyio.lowlevel.checkpoint()
    for budget in runner._under_way:
        budget.deadline = PASSED
        if budget.scope is not None:
            budget.scope.deadline = PASSED
    return await outcome


def computes(budget: Budget) -> bool:
    """Whether its guest has computed for longer than any takes to start."""
    return budget.used_s > 0.02
