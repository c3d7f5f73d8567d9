"""Driving a guest inside an event loop: run it, answer its host calls, let others have their turn."""

from __future__ import annotations

import asyncio
from enum import Enum, auto
from time import monotonic
from types import CoroutineType

import anyio

from ..errors import DeadlineExceeded
from .budget import Budget
from .guest import Answer, Answerer, Guest, PendingCall
from .turns import TURN_S, turns
from .worker import worker

SPUN_S = 0.0005
"""A slice that took this long was used up by the guest, in seconds. A shorter one began before its last host call."""


class _Step(Enum):
    """How a slice ended."""

    DONE = auto()
    ASKED = auto()
    PAUSED = auto()
    SPUN = auto()


async def drive(guest: Guest, answerer: Answerer, budget: Budget | None = None) -> None:
    """Carry out what was started on ``guest``, answering its host calls, within ``budget``.

    A guest that uses up a slice goes to the worker thread until its next host call. Raises ``DeadlineExceeded``,
    ``CpuLimit``, and whatever the guest or the answerer raises; the owner then closes the guest, which unwinds it
    wherever it is. So it does after cancellation.
    """
    budget = budget or Budget()
    guest.answerer = answerer
    step = _Step.PAUSED
    if not guest.linked.computes:
        while step is _Step.PAUSED and turns.has_room():
            step = _step(guest, budget)
        if step is _Step.DONE:
            return
    # Most guests never wait, so only those that do pay for a scope.
    with anyio.CancelScope(deadline=asyncio.get_running_loop().time() + budget.until - monotonic()) as scope:
        await _drive_on(guest, answerer, budget, step)
    if scope.cancelled_caught:
        if guest.pending is None and not budget.stack:  # it waited for a turn
            budget.stack = guest.interrupt()
        raise DeadlineExceeded(frames=budget.stack)


async def _drive_on(guest: Guest, answerer: Answerer, budget: Budget, step: _Step) -> None:
    """Go on with a guest that waits for an answer or for its turn."""
    beside = step is _Step.SPUN or guest.linked.computes
    while True:
        if (call := guest.pending) is not None:
            if budget.spent:
                raise budget.spent_error()
            guest.resume(await _answered(call, answerer))
            beside = False
        if beside:
            done = await _run_beside(guest, budget)
        else:
            await turns.room()
            step = _step(guest, budget)
            done, beside = step is _Step.DONE, step is _Step.SPUN
        if done:
            return


async def _answered(call: PendingCall, answerer: Answerer) -> Answer:
    """The answer to ``call``. What it takes of the loop's turn, if it never waits, is counted as the guest's."""
    turn, started = turns.number, monotonic()
    asked = call.waiting
    if asked is None:
        answer = answerer(call.function, call.arguments)
        given = await answer if isinstance(answer, CoroutineType) else answer
    else:
        call.waiting = None
        given = await asked
    if turns.number == turn:
        turns.spend(monotonic() - started)
    return given


def _step(guest: Guest, budget: Budget) -> _Step:
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
        return _Step.DONE
    if guest.pending is not None:
        return _Step.ASKED
    if took < SPUN_S:
        return _Step.PAUSED
    guest.linked.computed(long=True)
    return _Step.SPUN


async def _run_beside(guest: Guest, budget: Budget) -> bool:
    """Run in the worker until the guest is done (``True``) or asks."""
    before = budget.used_s
    try:
        return await worker.run(guest, budget)
    finally:
        guest.linked.computed(long=budget.used_s - before >= SPUN_S)
