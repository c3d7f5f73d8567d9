"""Runs a guest from an event loop: its slices, on the loop or in the CPU thread, and the answers to its host calls."""

from __future__ import annotations

import asyncio
import sys
from collections.abc import Awaitable, Callable, Generator
from contextlib import suppress
from time import monotonic, thread_time
from types import CoroutineType, coroutine
from typing import TYPE_CHECKING, Any, Final, TypeAlias, TypeVar

import anyio

from ..errors import DeadlineExceeded, EngineUnavailable, ExecutionError
from .budget import Budget
from .context import engine_context
from .cpu_thread import OVERRUN_S, record_overrun
from .guest import Answer, Answerer, Guest, PendingCall
from .linker import HostFunction
from .loop_scheduler import GUEST_TIME_S

if TYPE_CHECKING:
    from alga_common.sharing.large_work import LargeWorkQueue

T = TypeVar("T")

_this_thread = engine_context.this_thread
_cpu_thread = engine_context.cpu_thread

FULL_SLICE_S = 0.0005
"""A slice that took this long was used up by the guest, in seconds. A shorter one began before its last host call."""

_WAITED = "It was waiting to compute: the runner is overloaded."

COMPUTED_S = 2 * FULL_SLICE_S
"""A guest that runs this long in the CPU thread computes, in seconds: on the loop, it would use up two slices."""

LONG_ANSWER_S = GUEST_TIME_S
"""After an answer that computed this long its owner rests, in seconds."""

DONE: Final = 0
_CALLED: Final = 1
_CUT_SHORT: Final = 2
_USED_UP: Final = 3
"""How a slice ended: the guest is done, waits for an answer, was interrupted early, or used its slice up."""

_ANSWERED: Final = object()
"""What an answer that is given waits for."""

_Waiting: TypeAlias = "tuple[CoroutineType[Any, Any, Answer], object]"
"""An answer that has begun, and what it waits for."""


async def wait_to_start(budget: Budget) -> None:
    """Return in a later loop iteration that has time for one more guest. Raises ``DeadlineExceeded``.

    For callers whom ``LoopScheduler.may_start`` did not let start in this one.
    """
    scheduler = _this_thread.loop_scheduler
    if not scheduler.has_waiting:  # then the next iteration has time for the first to ask, without a queue
        await _next_turn()
        if scheduler.may_start(budget.owner):
            return
    if not await scheduler.wait_to_start(budget.owner, budget=budget):
        raise _ended_waiting(None, budget)


@coroutine
def _next_turn() -> Generator[None, None, None]:
    """Return in the next iteration of the loop, as ``asyncio.sleep(0)`` does in two calls more."""
    yield


async def wait_within(budget: Budget, waiting: Awaitable[T]) -> T:
    """Await ``waiting`` until the deadline of ``budget``. Raises ``DeadlineExceeded``."""
    try:
        with budget.open_scope():
            budget.limit_waits()
            return await waiting
    finally:
        budget.close_scope()
    raise _ended_waiting(None, budget)


async def work_in_turn(budget: Budget, work: Callable[[], T]) -> T:
    """Do ``work`` for a guest; if that takes long, the guest's owner rests. Raises ``DeadlineExceeded``."""
    queue, owner = budget.large_work, budget.owner
    if queue is not None and owner in queue.known and queue.rests(owner):
        await wait_within(budget, queue.turn(owner))
    started = thread_time()
    try:
        return work()
    finally:
        took = thread_time() - started
        budget.used_s += took
        if took > LONG_ANSWER_S and queue is not None:
            queue.record(owner, took)


def run_until_blocked(guest: Guest, answerer: Answerer, budget: Budget) -> int:
    """Run the call started on ``guest`` as far as it goes without waiting: ``DONE``, or where ``run_call`` goes on.

    Most guests are done then, and none of those pays for a coroutine or a scope: calls of functions whose last answer
    did not wait are answered, too. Raises what the guest or the answerer raises.
    """
    guest.answerer, budget.guest = answerer, guest
    scheduler, linked, state = _this_thread.loop_scheduler, guest.linked, _CUT_SHORT
    while state == _CUT_SHORT and not (guest.large or linked.computes) and scheduler.may_continue():
        state = _run_slice(guest, budget)
        if state == _CALLED and (call := guest.pending) is not None and call[0] in linked.prompt:
            state = _answer_promptly(guest, call, answerer, budget)
    return state


async def run_call(
    guest: Guest, answerer: Answerer, budget: Budget | None = None, state: int | None = None
) -> None:
    """Run the call started on ``guest`` to its end, answering its host calls, within ``budget``.

    ``state`` is the result of ``run_until_blocked``, if that was called. A guest that uses up its slices
    goes to the CPU thread until its next host call. Raises ``DeadlineExceeded``, ``CpuLimit``, and what the guest or
    the answerer raises; then, and when it is cancelled, the owner closes the guest, which unwinds it wherever it is.
    """
    if budget is None:
        budget = Budget()
    if state is None:
        state = run_until_blocked(guest, answerer, budget)
    scheduler = _this_thread.loop_scheduler
    while state == _CUT_SHORT and not guest.computes:
        if not await scheduler.wait_to_start(budget.owner, budget=budget):
            raise _ended_waiting(None, budget)
        state = run_until_blocked(guest, answerer, budget)
    if state == DONE:
        return
    if (begun := budget.begun) is not None:
        budget.begun = None
        if not await _finish_begun(guest, *begun, budget):
            raise _cancelled(guest, budget)
    # Most guests never call the host, and most answers never wait: only those that do pay for a scope.
    try:
        with budget.open_scope() as scope:
            await _run_blocked(guest, answerer, budget, state)
    finally:
        budget.close_scope()
    if scope.cancelled_caught:
        raise _cancelled(guest, budget)


async def free_large_guest(guest: Guest) -> None:
    """Free a guest with a large memory in the CPU thread; any other is left to be closed.

    For guests that ran for ``OVERRUN_S``: none fills a large memory sooner. Freeing 256 MiB in use takes 9 ms.
    """
    if not guest.may_have_large_memory or isinstance(sys.exc_info()[1], GeneratorExit):
        return
    with suppress(EngineUnavailable), anyio.CancelScope(shield=True):
        await _cpu_thread.free(guest)


def _cancelled(guest: Guest, budget: Budget) -> EngineUnavailable | ExecutionError:
    """The error of a guest that waited too long, which it does no more."""
    if (call := guest.pending) is None:
        return _ended_waiting(None, budget)
    budget.stack = guest.interrupt()  # only in a host call: a guest that waits to compute would take a slice
    return _ended_waiting(guest.linked.functions[call[0]], budget)


def _ended_waiting(called: HostFunction | None, budget: Budget) -> EngineUnavailable | ExecutionError:
    """The error of a guest whose time ended in the host call ``called``, or while it computed or waited to."""
    if budget.stopped:
        return budget.reason or EngineUnavailable("The runner stopped before the handler was done.")
    if called is not None:
        return DeadlineExceeded(frames=budget.stack).at(host_call=f"{called.module} {called.name}")
    return DeadlineExceeded(frames=budget.stack, doing="" if budget.stack else _WAITED)


async def _run_blocked(guest: Guest, answerer: Answerer, budget: Budget, state: int) -> None:
    """Run a guest that waits for an answer or to compute to its end."""
    scheduler = _this_thread.loop_scheduler
    in_cpu_thread, maybe_computes, same_iteration = guest.computes, state == _USED_UP, False
    while True:
        if (call := guest.pending) is not None:
            if budget.used_s > budget.cpu_s:
                budget.stack = guest.interrupt()
                raise budget.cpu_limit_error()
            iteration = scheduler.iteration
            try:
                if _rests(budget) and budget.large_work is not None:
                    budget.limit_waits()
                    await budget.large_work.turn(budget.owner)
                if (begun := _begin_answer(guest, call, answerer, budget)) is not None:
                    guest.linked.prompt.discard(call[0])
                    budget.limit_waits()
                    rest = _finish_answer(guest, *begun, budget)
                    begun = None  # many guests may wait here
                    await rest
                else:
                    guest.linked.prompt.add(call[0])
            except ExecutionError as error:
                guest.fail(error)
                raise
            same_iteration = not in_cpu_thread and scheduler.iteration == iteration  # the answer never waited
            in_cpu_thread, maybe_computes = guest.large or guest.linked.overruns, False
        if in_cpu_thread:
            budget.limit_waits()
            if await _run_in_cpu_thread(guest, budget):
                return
            continue
        may_start = scheduler.may_start if maybe_computes else scheduler.may_resume
        if not (scheduler.may_continue() if same_iteration else may_start(budget.owner)):
            budget.limit_waits()
            await scheduler.wait_to_start(budget.owner, first=maybe_computes)
            if guest.computes:  # as other guests of the module did meanwhile
                in_cpu_thread = True
                continue
        state = _run_measured_slice(guest, budget) if maybe_computes else _run_slice(guest, budget)
        if state == DONE:
            return
        in_cpu_thread = maybe_computes and state == _USED_UP
        maybe_computes, same_iteration = state == _USED_UP, state == _CUT_SHORT


def _rests(budget: Budget) -> bool:
    """Whether the guest's owner has to wait before its next call is answered."""
    queue, owner = budget.large_work, budget.owner
    return queue is not None and owner in queue.known and queue.rests(owner)


def _answer_promptly(guest: Guest, call: PendingCall, answerer: Answerer, budget: Budget) -> int:
    """Answer ``call`` outside of any scope, as its answer probably does not wait: ``_CUT_SHORT``.

    ``_CALLED`` if it waits after all, which leaves it in ``budget.begun``, or if ``_run_blocked`` has to see the call.
    """
    queue = budget.large_work
    if budget.used_s > budget.cpu_s or (queue is not None and queue.known and _rests(budget)):
        return _CALLED
    try:
        begun = _begin_answer(guest, call, answerer, budget)
    except ExecutionError as error:
        guest.fail(error)
        raise
    if begun is None:
        return _CUT_SHORT
    guest.linked.prompt.discard(call[0])
    budget.begun = begun
    return _CALLED


def _begin_answer(guest: Guest, call: PendingCall, answerer: Answerer, budget: Budget) -> _Waiting | None:
    """Answer ``call`` as far as that goes without waiting; returns the rest, if there is any."""
    started = monotonic()
    answer = answerer(*call)
    if not isinstance(answer, CoroutineType):
        guest.resume(answer)
        return None
    queue = budget.large_work
    before = _cpu_before(queue, budget.owner) if queue is not None and queue.known else None
    try:
        return answer, answer.send(None)
    except StopIteration as done:
        guest.resume(done.value)
        return None
    finally:
        budget.used_s += (took := monotonic() - started)
        if took > LONG_ANSWER_S:
            _record_long_step(queue, budget.owner, before)


def _take_step(
    guest: Guest, step: Callable[[Any], object], given: object, budget: Budget, started: float
) -> object:
    """Run an answer until it waits, and return for what; or give it to ``guest``, and return ``_ANSWERED``.

    The time since ``started`` is the budget's.
    """
    queue = budget.large_work
    before = _cpu_before(queue, budget.owner) if queue is not None and queue.known else None
    try:
        return step(given)
    except StopIteration as done:
        guest.resume(done.value)
        return _ANSWERED
    finally:
        budget.used_s += (took := monotonic() - started)
        if took > LONG_ANSWER_S:
            _record_long_step(queue, budget.owner, before)


def _cpu_before(queue: LargeWorkQueue, owner: str) -> float | None:
    """CPU time before a step of an answer, without what all owners were charged; ``None`` for an unknown owner."""
    return thread_time() - queue.charged_s if owner in queue.known else None


def _record_long_step(queue: LargeWorkQueue | None, owner: str, before: float | None) -> None:
    """Have ``owner`` rest after a step of an answer that took long; ``before`` is from ``_cpu_before``."""
    if queue is not None:
        # The system may only have kept the thread from running: an unknown owner's next is measured. What the step
        # did in turns of its owner has been recorded.
        took = 0.0 if before is None else max(0.0, thread_time() - queue.charged_s - before)
        queue.record(owner, took)


@coroutine
def _finish_answer(
    guest: Guest, answer: CoroutineType[Any, Any, Answer], waits_for: object, budget: Budget
) -> Generator[Any, Any, None]:
    """Await the rest of an answer that waits: what it computes between its waits is the budget's, too."""
    while waits_for is not _ANSWERED:
        try:
            given = yield waits_for
        except BaseException as error:  # noqa: BLE001 - cancellation, which is the answer's as well
            waits_for = _take_step(guest, answer.throw, error, budget, monotonic())
        else:
            waits_for = _take_step(guest, answer.send, given, budget, monotonic())


@coroutine
def _finish_begun(
    guest: Guest, answer: CoroutineType[Any, Any, Answer], waits_for: object, budget: Budget
) -> Generator[Any, Any, bool]:
    """``_finish_answer`` for an answer that was begun outside of a scope; ``False`` if its time ended.

    A scope around the rest would close before those that the answer has opened by now. So each wait has one of its own,
    and the answer is cancelled as asyncio does it: once, then it has the time that it needs to end.
    """
    late = by_caller = False
    while waits_for is not _ANSWERED:
        step: Callable[[Any], object] = answer.send
        given: Any = None
        try:
            if late:
                given = yield waits_for
            else:
                try:
                    with budget.open_scope() as scope:
                        budget.limit_waits()
                        given = yield waits_for
                finally:
                    budget.close_scope()
                if late := scope.cancelled_caught:
                    step, given = answer.throw, asyncio.CancelledError()
        except BaseException as error:  # noqa: BLE001 - cancellation, which is the answer's as well
            step, given, by_caller = answer.throw, error, True
        try:
            waits_for = _take_step(guest, step, given, budget, monotonic())
        except asyncio.CancelledError:
            if by_caller or not late:
                raise
            return False
        except ExecutionError as error:
            guest.fail(error)
            raise
    return True


def _run_slice(guest: Guest, budget: Budget) -> int:
    """Run one slice on the loop."""
    cpu_s = thread_time() if guest.hides_memory else 0.0
    started = monotonic()
    try:
        done = guest.poll()
    finally:
        took = monotonic() - started
        budget.used_s += took
    # Of a guest whose memory cannot be seen, only CPU time tells an overrun from a system that was busy.
    if took > OVERRUN_S and not (guest.hides_memory and thread_time() - cpu_s <= OVERRUN_S):
        record_overrun(guest)
    if done:
        return DONE
    if guest.pending is not None:
        return _CALLED
    return _CUT_SHORT if took < FULL_SLICE_S else _USED_UP


def _run_measured_slice(guest: Guest, budget: Budget) -> int:
    """Run a slice after one that took long, by CPU time: the system may only have kept the thread from running."""
    started = thread_time()
    state = _run_slice(guest, budget)
    if state != _USED_UP:
        return state
    if thread_time() - started < FULL_SLICE_S:
        return _CUT_SHORT
    guest.linked.record_run(used_slice=True)
    return _USED_UP


async def _run_in_cpu_thread(guest: Guest, budget: Budget) -> bool:
    """Run in the CPU thread until the guest is done (``True``) or calls the host."""
    before, returned = budget.used_s, False
    try:
        done = await _cpu_thread.run(guest, budget)
        returned = True
        return done
    finally:
        used_slice = budget.used_s - before >= COMPUTED_S
        # One only instantiated, or cut off, may be about to compute.
        if not guest.large and (used_slice or (returned and guest.handling)):
            guest.linked.record_run(used_slice=used_slice)
