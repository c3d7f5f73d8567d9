"""Driving a guest inside an event loop: run it, answer its host calls, let others have their turn."""

from __future__ import annotations

import asyncio
from time import monotonic, thread_time
from types import CoroutineType
from typing import Final

import anyio

from ..errors import DeadlineExceeded, ExecutionError
from .budget import Budget
from .guest import Answerer, Guest
from .turns import TURN_S, turns
from .worker import worker

SPUN_S = 0.0005
"""A slice that took this long was used up by the guest, in seconds. A shorter one began before its last host call."""

_DONE: Final = 0
_ASKED: Final = 1
_PAUSED: Final = 2
_SPUN: Final = 3
"""How a slice ended: the guest is done, waits for an answer, was interrupted early, or used its slice up."""


async def drive(guest: Guest, answerer: Answerer, budget: Budget | None = None) -> None:
    """Carry out what was started on ``guest``, answering its host calls, within ``budget``.

    A guest that uses up its slices goes to the worker thread until its next host call. Raises ``DeadlineExceeded``,
    ``CpuLimit``, and whatever the guest or the answerer raises; the owner then closes the guest, which unwinds it
    wherever it is. So it does after cancellation.
    """
    if budget is None:
        budget = Budget()
    guest.answerer = answerer
    step = _PAUSED
    if not guest.linked.computes:
        while step == _PAUSED and turns.has_room():
            step = _step(guest, budget)
        if step == _DONE:
            return
    # Most guests never wait, so only those that do pay for a scope.
    now = asyncio.get_running_loop().time()
    with anyio.CancelScope(deadline=now + budget.until - monotonic()) as scope:
        await _drive_on(guest, answerer, budget, step)
    if scope.cancelled_caught:
        if not budget.stack:  # it waited, for an answer or for its turn
            budget.stack = guest.interrupt()
        raise DeadlineExceeded(frames=budget.stack)


async def _drive_on(guest: Guest, answerer: Answerer, budget: Budget, step: int) -> None:
    """Go on with a guest that waits for an answer or for its turn."""
    beside, doubtful = guest.linked.computes, step == _SPUN
    while True:
        if (call := guest.pending) is not None:
            if budget.used_s > budget.cpu_s:
                budget.stack = guest.interrupt()
                raise budget.spent_error()
            turn, started = turns.number, monotonic()
            waiting, call.waiting = call.waiting, None
            try:
                answer = answerer(call.function, call.arguments) if waiting is None else waiting
                guest.resume(await answer if isinstance(answer, CoroutineType) else answer)
            except ExecutionError as error:
                guest.fail(error)
                raise
            if turns.number == turn:  # it never waited: what it took of the loop's turn counts as the guest's
                turns.spend(monotonic() - started)
            beside = doubtful = False
        if beside:
            if await _run_beside(guest, budget):
                return
            continue
        if not turns.has_room():
            await turns.room()
        step = _measured_step(guest, budget) if doubtful else _step(guest, budget)
        if step == _DONE:
            return
        beside, doubtful = doubtful and step == _SPUN, step == _SPUN


def _step(guest: Guest, budget: Budget) -> int:
    """Run one slice on the loop."""
    started = monotonic()
    guest.answers_until = started + TURN_S
    try:
        done = guest.poll()
    finally:
        took = monotonic() - started
        turns.spend(took)
        budget.used_s += took
    if done:
        return _DONE
    if guest.pending is not None:
        return _ASKED
    return _PAUSED if took < SPUN_S else _SPUN


def _measured_step(guest: Guest, budget: Budget) -> int:
    """Run a slice after one that took long: a thread that the system kept from running only looks busy."""
    started = thread_time()
    step = _step(guest, budget)
    if step != _SPUN:
        return step
    if thread_time() - started < SPUN_S:
        return _PAUSED
    guest.linked.computed(long=True)
    return _SPUN


async def _run_beside(guest: Guest, budget: Budget) -> bool:
    """Run in the worker until the guest is done (``True``) or asks."""
    before = budget.used_s
    try:
        return await worker.run(guest, budget)
    finally:
        guest.linked.computed(long=budget.used_s - before >= SPUN_S)
