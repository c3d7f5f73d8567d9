"""Driving a guest inside an event loop: run it, answer its host calls, let others have their turn."""

from __future__ import annotations

import asyncio
import sys
from collections.abc import Awaitable
from contextlib import suppress
from time import monotonic, thread_time
from types import CoroutineType
from typing import Final, TypeVar

import anyio

from ..errors import DeadlineExceeded, EngineUnavailable, ExecutionError
from .budget import Budget
from .context import engine_context
from .cpu_thread import HELD_S, has_much_memory, note_hold
from .guest import Answerer, Guest
from .linker import HostFunction

T = TypeVar("T")

_this_thread = engine_context.this_thread
_cpu_thread = engine_context.cpu_thread

SPUN_S = 0.0005
"""A slice that took this long was used up by the guest, in seconds. A shorter one began before its last host call."""

_WAITED = "It was waiting for its turn to compute: the runner has more to do than time."

DONE: Final = 0
_ASKED: Final = 1
_PAUSED: Final = 2
_SPUN: Final = 3
"""How a slice ended: the guest is done, waits for an answer, was interrupted early, or used its slice up."""


async def arrive(budget: Budget) -> None:
    """Return in a turn of the loop that has time for one more guest. Raises ``DeadlineExceeded``.

    Whoever calls ``turns.has_room`` before spares a coroutine where there is.
    """
    turns = _this_thread.loop_scheduler
    if turns.has_room(budget.owner):
        return
    if not turns.waited_for:  # then the next turn has room for whoever comes first, and needs no line
        await asyncio.sleep(0)
        if turns.has_room(budget.owner):
            return
    if not await turns.room(budget.owner, budget=budget):
        raise _cut_off(None, budget)


async def in_time(budget: Budget, waiting: Awaitable[T]) -> T:
    """What ``waiting`` gives, which may have to wait for others. Raises ``DeadlineExceeded``."""
    with _until(budget):
        return await waiting
    raise _cut_off(None, budget)


def advance(guest: Guest, answerer: Answerer, budget: Budget) -> int:
    """Carry out what was started on ``guest`` as far as that goes now: ``DONE``, or where ``drive`` goes on.

    Most guests are done then, and none of those pays for a coroutine. Raises what the guest or the answerer raises.
    """
    guest.answerer = answerer
    turns, step = _this_thread.loop_scheduler, _PAUSED
    while step == _PAUSED and not guest.linked.computes and turns.has_time():
        step = _step(guest, budget)
    return step


async def drive(
    guest: Guest, answerer: Answerer, budget: Budget | None = None, step: int | None = None
) -> None:
    """Carry out what was started on ``guest``, answering its host calls, within ``budget``.

    ``step`` is where ``advance`` got to, if it was asked. A guest that uses up its slices goes to the worker thread
    until its next host call. Raises ``DeadlineExceeded``, ``CpuLimit``, and whatever the guest or the answerer raises;
    the owner then closes the guest, which unwinds it wherever it is. So it does after cancellation.
    """
    if budget is None:
        budget = Budget()
    if step is None:
        step = advance(guest, answerer, budget)
    turns = _this_thread.loop_scheduler
    while step == _PAUSED and not guest.linked.computes:
        if not await turns.room(budget.owner, budget=budget):
            raise _cut_off(None, budget)
        step = advance(guest, answerer, budget)
    if step == DONE:
        return
    # Most guests never wait, so only those that do pay for a scope.
    with _until(budget) as scope:
        await _drive_on(guest, answerer, budget, step)
    if scope.cancelled_caught:
        if (call := guest.pending) is None:
            raise _cut_off(None, budget)
        budget.stack = guest.interrupt()  # not of a guest that waits for its turn: that would take a slice
        raise _cut_off(guest.linked.functions[call.function], budget)


async def retire(guest: Guest) -> None:
    """Free a guest that ran for ``HELD_S`` beside the loop, if that takes long; otherwise it is left to be closed.

    It takes 9 ms for 256 MiB in use, which nobody can fill sooner.
    """
    if not has_much_memory(guest) or isinstance(sys.exc_info()[1], GeneratorExit):
        return
    with suppress(EngineUnavailable), anyio.CancelScope(shield=True):
        await _cpu_thread.free(guest)


def _until(budget: Budget) -> anyio.CancelScope:
    """A scope for waiting within ``budget``."""
    now = asyncio.get_running_loop().time()
    budget.scope = scope = anyio.CancelScope(deadline=now + budget.until - monotonic())
    if budget.stopped:
        scope.cancel()
    return scope


def _cut_off(called: HostFunction | None, budget: Budget) -> EngineUnavailable | DeadlineExceeded:
    """Why a guest was cut off, in the host call or where else it was."""
    if budget.stopped:
        return EngineUnavailable("The runner stopped before the handler was done.")
    if called is not None:
        return DeadlineExceeded(frames=budget.stack).at(host_call=f"{called.module} {called.name}")
    return DeadlineExceeded(frames=budget.stack, doing="" if budget.stack else _WAITED)


async def _drive_on(guest: Guest, answerer: Answerer, budget: Budget, step: int) -> None:
    """Go on with a guest that waits for an answer or for its turn."""
    turns = _this_thread.loop_scheduler
    beside, doubtful, in_turn = guest.linked.computes, step == _SPUN, False
    while True:
        if (call := guest.pending) is not None:
            if budget.used_s > budget.cpu_s:
                budget.stack = guest.interrupt()
                raise budget.spent_error()
            turn = turns.number
            try:
                answer = answerer(call.function, call.arguments)
                guest.resume(await answer if isinstance(answer, CoroutineType) else answer)
            except ExecutionError as error:
                guest.fail(error)
                raise
            in_turn = not beside and turns.number == turn  # it never waited
            beside, doubtful = guest.linked.holds, False
        if beside:
            if await _run_beside(guest, budget):
                return
            continue
        if not (turns.has_time() if in_turn else turns.has_room(budget.owner)):
            await turns.room(budget.owner, first=doubtful)
            if guest.linked.computes:  # as others of its kind showed while it waited
                beside = True
                continue
        step = _measured_step(guest, budget) if doubtful else _step(guest, budget)
        if step == DONE:
            return
        beside, doubtful, in_turn = doubtful and step == _SPUN, step == _SPUN, step == _PAUSED


def _step(guest: Guest, budget: Budget) -> int:
    """Run one slice on the loop."""
    started = monotonic()
    try:
        done = guest.poll()
    finally:
        took = monotonic() - started
        budget.used_s += took
    if took > HELD_S:
        note_hold(guest)
    if done:
        return DONE
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
    before, calling, ended = budget.used_s, guest.memory is not None, False
    try:
        done = await _cpu_thread.run(guest, budget)
        ended = True
        return done
    finally:
        long = budget.used_s - before >= SPUN_S
        if long or (ended and calling):  # one that is only made, or was cut off, may be about to compute
            guest.linked.computed(long=long)
