"""The thread for guests that compute: they run beside the event loop, a slice at a time, and return at a host call.

A hand-over costs about 100 us, so only a guest that used up a slice on the loop comes here (engine-lab B, "Migration").
The loop lends its guest and has it back when the worker says so: at no time do two threads touch one guest.
"""

from __future__ import annotations

import asyncio
import atexit
import os
import threading
from collections import deque
from time import monotonic, thread_time

import anyio

from .budget import Budget
from .guest import Guest

_FRESH_IN_A_ROW = 4
"""First slices served before one of a guest that computes on: short guests pass, and nobody is passed for ever."""

_ANSWERS_S = 0.002
"""How long a guest gets answers at once, in seconds, before it must wait like at the end of a slice."""


class Loan:
    """A guest while the worker has it."""

    __slots__ = ("_loop", "_returned", "budget", "done", "ended", "failure", "guest", "late", "recalled")

    def __init__(self, guest: Guest, budget: Budget) -> None:
        self.guest = guest
        self.budget = budget
        self.recalled = False
        """The owner wants the guest back as it is."""
        self.late = False
        """The owner's deadline has come: it wants to know the guest's stack, too."""
        self.done = False
        self.failure: BaseException | None = None
        self.ended = False
        self._loop = asyncio.get_running_loop()
        self._returned = anyio.Event()

    def tell_owner(self) -> None:
        """Wake the owner, who has its guest again."""
        try:
            self._loop.call_soon_threadsafe(self._returned.set)
        except RuntimeError:  # the loop was closed: nobody waits
            return

    async def returned(self) -> None:
        """Wait until the owner has its guest again."""
        await self._returned.wait()


class Worker:
    """One daemon thread of this process; it starts with the first loan."""

    def __init__(self) -> None:
        self._changed = threading.Condition()
        self._fresh: deque[Loan] = deque()
        self._again: deque[Loan] = deque()
        self._fresh_served = 0
        self._thread: threading.Thread | None = None
        self._pid = 0
        self._ends = False

    async def run(self, guest: Guest, budget: Budget) -> bool:
        """Poll ``guest`` in the worker until it is done (``True``) or waits for an answer.

        Raises what ended it, ``CpuLimit`` included. When cancelled, it takes the guest back first, which takes as long
        as a slice; then ``budget.stack`` says where the guest was if its deadline had come.
        """
        loan = Loan(guest, budget)
        self._lend(loan)
        try:
            await loan.returned()
        except GeneratorExit:  # nothing can be awaited any more
            self._recall(loan)
            with self._changed:
                self._changed.wait_for(lambda: loan.ended)
            raise
        except BaseException:
            self._recall(loan)
            while not loan.ended:
                try:
                    with anyio.CancelScope(shield=True):
                        await loan.returned()
                except asyncio.CancelledError:
                    continue  # a guest that another thread runs cannot be left alone, however often one asks
            raise
        if loan.failure is not None:
            raise loan.failure
        return loan.done

    def _lend(self, loan: Loan) -> None:
        with self._changed:
            if self._thread is None or self._pid != os.getpid():
                self._start()
            self._fresh.append(loan)
            self._changed.notify_all()

    def _recall(self, loan: Loan) -> None:
        """Ask for the guest; a loan that waits is ended here and now, unless its stack is wanted."""
        with self._changed:
            queue = next((queue for queue in (self._fresh, self._again) if loan in queue), None)
            if monotonic() >= loan.budget.until:
                loan.late = True
                if queue is not None:  # behind those that compute it would wait for a slice of each
                    queue.remove(loan)
                    self._fresh.appendleft(loan)
            else:
                loan.recalled = True
                if queue is not None:
                    queue.remove(loan)
                    loan.ended = True

    def _start(self) -> None:
        self._pid = os.getpid()
        self._ends = False
        self._thread = threading.Thread(target=self._work, name="alga-runner-cpu", daemon=True)
        self._thread.start()
        atexit.register(self._end)

    def _end(self) -> None:
        """Leave before the interpreter does: a thread it ends inside a guest would take the process down."""
        with self._changed:
            thread, self._thread, self._ends = self._thread, None, True
            self._changed.notify_all()
        if thread is not None and self._pid == os.getpid():
            thread.join()

    def _work(self) -> None:
        while (loan := self._next()) is not None:
            over = _run_slice(loan)
            with self._changed:
                if over or loan.recalled:
                    loan.ended = True
                    self._changed.notify_all()
                elif loan.late:
                    self._fresh.appendleft(loan)
                else:
                    self._again.append(loan)
            if loan.ended:
                loan.tell_owner()

    def _next(self) -> Loan | None:
        with self._changed:
            while not self._ends and not self._fresh and not self._again:
                self._changed.wait()
            if self._ends:
                return None
            if self._fresh and (self._fresh_served < _FRESH_IN_A_ROW or not self._again):
                self._fresh_served += 1
                return self._fresh.popleft()
            self._fresh_served = 0
            return self._again.popleft()


def _run_slice(loan: Loan) -> bool:
    """Run one slice. Whether the guest is done, waits for an answer, or has ended."""
    guest, budget = loan.guest, loan.budget
    if loan.late or budget.spent:
        budget.stack = guest.interrupt(released=True)
        if budget.spent:
            loan.failure = budget.spent_error()
        return True
    guest.answers_until = monotonic() + _ANSWERS_S
    started = thread_time()
    try:
        loan.done = guest.poll(released=True)
    except BaseException as error:  # noqa: BLE001 - it belongs to the owner, in the other thread
        loan.failure = error
    budget.used_s += thread_time() - started
    return loan.done or loan.failure is not None or guest.pending is not None


worker = Worker()
