"""What tests wait for, and what they let pass, on a machine that gives them little time."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import TypeVar

import anyio

from alga_runner import Runner
from alga_runner.engine import Budget

PATIENCE_S = 110
"""How long a test waits for an event that a fault alone can keep away, in seconds. No test measures with it."""

PASSED = 0.0
"""A deadline that has passed, as a reading of ``time.monotonic()``."""

T = TypeVar("T")


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
