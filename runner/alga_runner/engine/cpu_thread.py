"""The thread for guests that compute: they run beside the event loop, a slice at a time, and return at a host call.

A hand-over costs about 100 us, so only a guest that used up a slice on the loop comes here (engine-lab B, "Migration").
The loop lends its guest and has it back when the worker says so: at no time do two threads touch one guest. Owners
share the thread's time, however many guests each has lent: the next slice is for the owner who had the least.
"""

from __future__ import annotations

import asyncio
import sys
import threading
from collections import deque
from contextlib import suppress
from functools import partial
from operator import attrgetter
from time import monotonic, thread_time

import anyio

from ..errors import DeadlineExceeded, EngineUnavailable
from .budget import Budget
from .guest import Guest

_FRESH_IN_A_ROW = 4
"""First slices served before one of a guest that computes on: short guests pass, and nobody is passed for ever."""

HELD_S = 0.005
"""A slice that took this long was not interrupted in time, in seconds."""

_MUCH_BYTES = 8 * 1024 * 1024
"""A smaller memory is filled or copied within ``HELD_S``: not the guest, but the ticker was late."""

_MANY_CALLS = 1_000
"""Host calls that are answered at once do not end a slice: so many, one after the other without a loop, may take longer
than ``HELD_S``."""

_CREDIT_S = 0.002
"""How far an owner who lent nothing for a while is ahead of those who did when it lends again, in seconds."""

_REMEMBERED = 64
"""Owners who lend nothing now, remembered for what they had."""

_SWITCH_S = 0.0005
"""How long the worker waits for the event loop to let go of the GIL, between two slices, in seconds.

Python's own 5 ms would make a slice of 1 ms take six while the loop is busy.
"""


class CpuTask:
    """A guest while the worker has it."""

    __slots__ = (
        "_loop",
        "_returned",
        "budget",
        "done",
        "ended",
        "failure",
        "frees",
        "guest",
        "late",
        "recalled",
    )

    def __init__(self, guest: Guest, budget: Budget, *, frees: bool = False) -> None:
        self.guest = guest
        self.budget = budget
        self.frees = frees
        """The guest is not to be run, but freed."""
        self.recalled = False
        """The owner wants the guest back as it is."""
        self.late = False
        """The owner's deadline has come: it wants to know the guest's stack, too."""
        self.done = False
        self.failure: BaseException | None = None
        self.ended = False
        self._loop = asyncio.get_running_loop()
        self._returned = anyio.Event()

    @property
    def forgotten(self) -> bool:
        """Nobody will ask for the guest any more: its owner's loop was closed."""
        return self._loop.is_closed()

    def end(self) -> None:
        """The owner has its guest again; wake it."""
        self.ended = True
        self.guest.recall = None
        with suppress(RuntimeError):  # the loop was closed: nobody waits
            self._loop.call_soon_threadsafe(self._returned.set)

    async def returned(self) -> None:
        """Wait until the owner has its guest again."""
        await self._returned.wait()


class _Share:
    """The loans of one owner that wait for a slice, and how much time the owner had: ``used_s``, in seconds."""

    __slots__ = ("_fresh_served", "again", "fresh", "used_s")

    def __init__(self, used_s: float) -> None:
        self.used_s = used_s
        self.fresh: deque[CpuTask] = deque()
        """Those that wait for their first slice, and those to be ended."""
        self.again: deque[CpuTask] = deque()
        self._fresh_served = 0

    @property
    def empty(self) -> bool:
        """Whether nothing waits."""
        return not self.fresh and not self.again

    def next(self) -> CpuTask:
        """The next to run."""
        if self.fresh and (self._fresh_served < _FRESH_IN_A_ROW or not self.again):
            self._fresh_served += 1
            return self.fresh.popleft()
        self._fresh_served = 0
        return self.again.popleft()

    def queue_of(self, loan: CpuTask) -> deque[CpuTask] | None:
        """Where ``loan`` waits, if it does."""
        return next((queue for queue in (self.fresh, self.again) if loan in queue), None)


class CpuThread:
    """One daemon thread of this process; it starts with the first loan."""

    def __init__(self) -> None:
        self._start_over()

    def after_fork_in_child(self) -> None:
        """Leave the guests to the parent, whose thread did not come along."""
        if self._running is not None:
            self._running.guest.forget()  # it is in the middle of a slice that no thread of this process carries out
        self._start_over()

    def _start_over(self) -> None:
        self._changed = threading.Condition()
        self._shares: dict[str, _Share] = {}
        """By owner: those who lent something, and those who had more than their part when they last did."""
        self._used_s = 0.0
        """What the owner had whose guest ran last: those who come start from there."""
        self._running: CpuTask | None = None
        self._thread: threading.Thread | None = None
        self._ends = False

    @property
    def waiting(self) -> int:
        """How many guests wait for a slice."""
        return sum(len(share.fresh) + len(share.again) for share in self._shares.values())

    async def run(self, guest: Guest, budget: Budget) -> bool:
        """Poll ``guest`` in the worker until it is done (``True``) or waits for an answer.

        Raises what ended it, ``CpuLimit`` and ``DeadlineExceeded`` included. When cancelled, it takes the guest back
        first, which takes as long as a slice; then ``budget.stack`` says where the guest was if its deadline had come.
        """
        return await self._carry_out(CpuTask(guest, budget))

    async def free(self, guest: Guest) -> None:
        """Free ``guest`` in the worker, which must not be running. What is not freed then is the owner's to close."""
        await self._carry_out(CpuTask(guest, Budget(), frees=True))

    async def _carry_out(self, loan: CpuTask) -> bool:
        # However this coroutine ends, even between two of its lines: closing the guest waits for the worker.
        loan.guest.recall = partial(self._take_back, loan)
        try:
            self._lend(loan)
            await loan.returned()
        except GeneratorExit:
            raise  # nothing can be awaited any more
        except BaseException:
            self._recall(loan, stack=True)
            await _until_ended(loan)
            raise
        failure, loan.failure = loan.failure, None
        if failure is not None:
            try:
                raise failure
            finally:
                del failure  # its traceback has this frame
        return loan.done

    def _lend(self, loan: CpuTask) -> None:
        with self._changed:
            if self._ends:
                raise EngineUnavailable("The process is about to end: no guest computes any more.")
            if self._thread is None:
                self._start()
            self._share_of(loan).fresh.append(loan)
            self._changed.notify_all()

    def _recall(self, loan: CpuTask, *, stack: bool) -> None:
        """Ask for the guest; a loan that waits is ended here and now, unless its stack is wanted and it has one."""
        with self._changed:
            late = stack and monotonic() >= loan.budget.until
            share = self._share_of(loan)
            queue = share.queue_of(loan)
            if loan is self._running:
                loan.late, loan.recalled = late, not late
            elif queue is None:  # it has ended, or never came here
                if not loan.ended:
                    loan.end()
            elif late and loan.budget.used_s > 0 and self._thread is not None:
                loan.late = True
                queue.remove(loan)
                share.fresh.appendleft(loan)  # behind those that compute it would wait for a slice of each
            else:
                queue.remove(loan)
                loan.end()

    def _share_of(self, loan: CpuTask) -> _Share:
        owner, least = loan.budget.owner, self._used_s - _CREDIT_S
        share = self._shares.get(owner)
        if share is None:
            if len(self._shares) >= _REMEMBERED:
                self._shares = {
                    name: one for name, one in self._shares.items() if not one.empty or one.used_s > least
                }
            share = self._shares[owner] = _Share(least)
        elif share.empty:
            share.used_s = max(share.used_s, least)
        return share

    def _take_back(self, loan: CpuTask) -> None:
        """Return once the worker has let go of the guest: within a slice."""
        self._recall(loan, stack=False)
        with self._changed:
            self._changed.wait_for(lambda: loan.ended)

    def _start(self) -> None:
        thread = threading.Thread(target=self._work, name="alga-runner-cpu", daemon=True)
        try:
            thread.start()
        except RuntimeError as error:
            raise EngineUnavailable(
                f"The thread for guests that compute cannot be started: {error}."
            ) from None
        self._thread = thread
        sys.setswitchinterval(min(sys.getswitchinterval(), _SWITCH_S))

    def end(self) -> None:
        """Leave before the interpreter does: a thread it ends inside a guest would take the process down."""
        with self._changed:
            thread, self._thread, self._ends = self._thread, None, True
            self._changed.notify_all()
        while thread is not None and thread.is_alive():
            with suppress(KeyboardInterrupt):
                thread.join()
        with self._changed:
            waiting = [loan for share in self._shares.values() for loan in (*share.fresh, *share.again)]
            self._shares.clear()
            for loan in waiting:
                loan.failure = EngineUnavailable("The process is about to end: no guest computes any more.")
                loan.end()

    def _work(self) -> None:
        while self._serve():  # in a frame of its own, which keeps nothing of a guest while nobody computes
            pass

    def _serve(self) -> bool:
        """Run the next slice. ``False`` once the worker ends."""
        loan = self._next()
        if loan is None:
            return False
        before = loan.budget.used_s
        try:
            over = _run_slice(loan)
        except BaseException as error:  # noqa: BLE001 - whatever it is, it is its owner's, and the others go on
            loan.failure = error
            over = True
        with self._changed:
            self._running = None
            share = self._share_of(loan)
            share.used_s += loan.budget.used_s - before
            if over or loan.recalled:
                loan.end()
                self._changed.notify_all()
            elif loan.forgotten:
                loan.guest.close(released=True)
                loan.end()
            elif loan.late:
                share.fresh.appendleft(loan)
            else:
                share.again.append(loan)
        return True

    def _next(self) -> CpuTask | None:
        with self._changed:
            while not self._ends:
                waiting = [share for share in self._shares.values() if not share.empty]
                if waiting:
                    first = min(waiting, key=_used_s)
                    self._used_s = max(self._used_s, first.used_s)
                    self._running = first.next()
                    return self._running
                self._shares.clear()
                self._changed.wait()
            return None


_used_s = attrgetter("used_s")


async def _until_ended(loan: CpuTask) -> None:
    """A guest that another thread runs cannot be left alone, however often one asks; the last one is heard then."""
    asked: asyncio.CancelledError | None = None
    while not loan.ended:
        try:
            with anyio.CancelScope(shield=True):
                await loan.returned()
        except asyncio.CancelledError as error:
            asked = error
    if asked is not None:
        raise asked


def _run_slice(loan: CpuTask) -> bool:
    """Run one slice. Whether the guest is done, waits for an answer, or has ended."""
    guest, budget, now = loan.guest, loan.budget, monotonic()
    if loan.frees:
        guest.close(released=True)
        return True
    if loan.late or budget.spent or now >= budget.until:  # an owner whose loop is busy says so late
        if budget.used_s > 0:
            budget.stack = guest.interrupt(released=True)
        loan.failure = budget.spent_error() if budget.spent else DeadlineExceeded(frames=budget.stack)
        return True
    started = thread_time()
    try:
        loan.done = guest.poll(released=True)
    finally:
        took = thread_time() - started
        budget.used_s += took
    if took > HELD_S:
        note_hold(guest)
    return loan.done or guest.pending is not None


def note_hold(guest: Guest) -> None:
    """Remember the module of a guest that took longer than ``HELD_S``, if it can have been the guest."""
    if has_much_memory(guest) or guest.calls >= _MANY_CALLS:
        guest.linked.held()


def has_much_memory(guest: Guest) -> bool:
    """Whether what is done with all of its memory at once takes too long for the loop."""
    return guest.memory is not None and guest.memory.size >= _MUCH_BYTES
