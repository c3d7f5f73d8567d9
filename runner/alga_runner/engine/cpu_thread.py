"""The thread that polls guests that compute, without the GIL, a slice at a time, until their next host call.

A hand-over costs about 100 us, so only a guest that used up a slice on the loop moves here (docs/design/engine.md,
Interruption). The loop submits a guest and touches it no more until the thread returns it: no two threads touch one
guest. Owners share the thread's time, however many guests each has submitted: the next slice is for the owner who had
the least.
"""

from __future__ import annotations

import asyncio
import threading
from collections import deque
from contextlib import suppress
from functools import partial
from operator import attrgetter
from time import monotonic, thread_time

import anyio

from alga_common.system.interpreter import switch_threads_sooner

from ..errors import DeadlineExceeded, EngineUnavailable
from .budget import Budget
from .guest import Guest

_FIRST_SLICES_IN_A_ROW = 4
"""First slices run before a later slice of a guest that goes on computing: short guests go first, yet none starves."""

OVERRUN_S = 0.005
"""A slice that took this long was not interrupted in time, in seconds."""

_MANY_CALLS = 1_000
"""Immediate host calls do not end a slice: this many, one after the other without a loop, may take ``OVERRUN_S``."""

_CREDIT_S = 0.002
"""How far an owner who submitted nothing for a while is ahead of those who did when it submits again, in seconds."""

_REMEMBERED_OWNERS = 64
"""Owners without a guest here whose used time is remembered."""

_ENDING = "The process is about to end: no guest computes any more."


class CpuTask:
    """A guest while the CPU thread has it."""

    __slots__ = (
        "_loop",
        "_returned",
        "budget",
        "done",
        "failure",
        "frees",
        "guest",
        "recalled",
        "returned",
        "timed_out",
    )

    def __init__(self, guest: Guest, budget: Budget, *, frees: bool = False) -> None:
        self.guest = guest
        self.budget = budget
        self.frees = frees
        """Free the guest instead of running it."""
        self.recalled = False
        """The owner wants the guest back as it is."""
        self.timed_out = False
        """The owner's deadline has passed: it wants the guest back ended, with its stack."""
        self.done = False
        self.failure: BaseException | None = None
        self.returned = False
        """The owner has its guest again."""
        self._loop = asyncio.get_running_loop()
        self._returned = anyio.Event()

    @property
    def abandoned(self) -> bool:
        """Whether the owner's loop was closed, so that no coroutine takes the guest back."""
        return self._loop.is_closed()

    def return_guest(self) -> None:
        """Give the guest back to its owner, and wake it."""
        self.returned = True
        self.guest.reclaim = None
        with suppress(RuntimeError):  # the loop was closed: no coroutine waits
            self._loop.call_soon_threadsafe(self._returned.set)

    async def wait(self) -> None:
        """Wait until the owner has its guest again."""
        await self._returned.wait()


class _OwnerQueue:
    """The tasks of one owner that wait for a slice, and how much time the owner had: ``used_s``, in seconds."""

    __slots__ = ("_first_in_a_row", "first", "later", "used_s")

    def __init__(self, used_s: float) -> None:
        self.used_s = used_s
        self.first: deque[CpuTask] = deque()
        """Tasks that wait for their first slice, and those to be ended."""
        self.later: deque[CpuTask] = deque()
        self._first_in_a_row = 0

    @property
    def empty(self) -> bool:
        """Whether no task waits."""
        return not self.first and not self.later

    def pop(self) -> CpuTask:
        """Take the next task to run."""
        if self.first and (self._first_in_a_row < _FIRST_SLICES_IN_A_ROW or not self.later):
            self._first_in_a_row += 1
            return self.first.popleft()
        self._first_in_a_row = 0
        return self.later.popleft()

    def remove(self, task: CpuTask) -> bool:
        """Take ``task`` out. ``False`` if it does not wait here."""
        for queue in (self.first, self.later):
            if task in queue:
                queue.remove(task)
                return True
        return False


class CpuThread:
    """One daemon thread, which starts with the first task."""

    def __init__(self) -> None:
        self._reset()

    def _reset(self) -> None:
        self._changed = threading.Condition()
        self._queues: dict[str, _OwnerQueue] = {}
        """By owner: those with tasks, and those who had more than their share when they last had one."""
        self._used_s = 0.0
        """The used time of the owner whose guest ran last: a new owner starts from there."""
        self._running: CpuTask | None = None
        self._thread: threading.Thread | None = None
        self._stopped = False

    @property
    def waiting(self) -> int:
        """How many guests wait for a slice."""
        return sum(len(queue.first) + len(queue.later) for queue in self._queues.values())

    async def run(self, guest: Guest, budget: Budget) -> bool:
        """Poll ``guest`` in the CPU thread until it is done (``True``) or waits for an answer.

        Raises what ended it, ``CpuLimit`` and ``DeadlineExceeded`` included. When cancelled, it takes the guest back
        first, which takes as long as a slice; then ``budget.stack`` is where the guest was if its deadline has passed.
        """
        return await self._submit_and_wait(CpuTask(guest, budget))

    async def free(self, guest: Guest) -> None:
        """Free ``guest``, which must not be running. If that fails, the owner closes it."""
        await self._submit_and_wait(CpuTask(guest, Budget(), frees=True))

    async def _submit_and_wait(self, task: CpuTask) -> bool:
        # However this coroutine ends, even between two of its lines: closing the guest waits for the CPU thread.
        task.guest.reclaim = partial(self._reclaim, task)
        try:
            self._submit(task)
            await task.wait()
        except GeneratorExit:
            raise  # nothing can be awaited any more
        except BaseException:
            self._recall(task, wants_stack=True)
            await _wait_shielded(task)
            raise
        failure, task.failure = task.failure, None
        if failure is not None:
            try:
                raise failure
            finally:
                del failure  # its traceback has this frame
        return task.done

    def _submit(self, task: CpuTask) -> None:
        with self._changed:
            if self._stopped:
                raise EngineUnavailable(_ENDING)
            if self._thread is None:
                self._start()
            self._queue_of(task).first.append(task)
            self._changed.notify_all()

    def _recall(self, task: CpuTask, *, wants_stack: bool) -> None:
        """Have the guest returned; one that waits for a slice is returned here, unless its stack is to be read."""
        with self._changed:
            timed_out = wants_stack and monotonic() >= task.budget.deadline
            queue = self._queue_of(task)
            if task is self._running:
                task.timed_out, task.recalled = timed_out, not timed_out
            elif not queue.remove(task):  # it was returned, or never submitted
                if not task.returned:
                    task.return_guest()
            elif timed_out and task.budget.used_s > 0 and self._thread is not None:
                task.timed_out = True
                queue.first.appendleft(task)  # behind those that compute it would wait for a slice of each
            else:
                task.return_guest()

    def _queue_of(self, task: CpuTask) -> _OwnerQueue:
        owner, least = task.budget.owner, self._used_s - _CREDIT_S
        queue = self._queues.get(owner)
        if queue is None:
            if len(self._queues) >= _REMEMBERED_OWNERS:
                self._queues = {
                    name: other
                    for name, other in self._queues.items()
                    if not other.empty or other.used_s > least
                }
            queue = self._queues[owner] = _OwnerQueue(least)
        elif queue.empty:
            queue.used_s = max(queue.used_s, least)
        return queue

    def _reclaim(self, task: CpuTask) -> None:
        """Block until the thread has returned the guest: within a slice."""
        self._recall(task, wants_stack=False)
        with self._changed:
            self._changed.wait_for(lambda: task.returned)

    def _start(self) -> None:
        thread = threading.Thread(target=self._run, name="alga-runner-cpu", daemon=True)
        try:
            thread.start()
        except RuntimeError as error:
            raise EngineUnavailable(
                f"The thread for guests that compute cannot be started: {error}."
            ) from None
        self._thread = thread
        switch_threads_sooner()

    def stop(self) -> None:
        """End the thread after its slice, and fail the tasks that wait. No task is taken afterwards."""
        with self._changed:
            thread, self._thread, self._stopped = self._thread, None, True
            self._changed.notify_all()
        while thread is not None and thread.is_alive():
            with suppress(KeyboardInterrupt):
                thread.join()
        with self._changed:
            waiting = [task for queue in self._queues.values() for task in (*queue.first, *queue.later)]
            self._queues.clear()
            for task in waiting:
                task.failure = EngineUnavailable(_ENDING)
                task.return_guest()

    def after_fork_in_child(self) -> None:
        """Leave the guests to the parent, whose thread did not come along."""
        if self._running is not None:
            self._running.guest.abandon()  # it is in the middle of a slice that no thread of this process runs
        self._reset()

    def _run(self) -> None:
        while self._run_slice():  # in a frame of its own, which keeps nothing of a guest while none computes
            pass

    def _run_slice(self) -> bool:
        """Run the next slice. ``False`` once the thread is stopped."""
        task = self._next_task()
        if task is None:
            return False
        budget = task.budget
        try:
            finished = _poll(task)
        except BaseException as error:  # noqa: BLE001 - every error is the owner's, and the other guests go on
            task.failure = error
            finished = True
        with self._changed:
            self._running = None
            queue = self._queue_of(task)
            queue.used_s += budget.used_s - budget.accounted_s  # with the answers since its last slice
            budget.accounted_s = budget.used_s
            if finished or task.recalled:
                task.return_guest()
                self._changed.notify_all()
            elif task.abandoned:
                task.guest.close(release_gil=True)
                task.return_guest()
            elif task.timed_out:
                queue.first.appendleft(task)
            else:
                queue.later.append(task)
        return True

    def _next_task(self) -> CpuTask | None:
        with self._changed:
            while not self._stopped:
                queues = [queue for queue in self._queues.values() if not queue.empty]
                if queues:
                    queue = min(queues, key=_time_used)
                    self._used_s = max(self._used_s, queue.used_s)
                    self._running = queue.pop()
                    return self._running
                self._queues.clear()
                self._changed.wait()
            return None


_time_used = attrgetter("used_s")


async def _wait_shielded(task: CpuTask) -> None:
    """Wait until the guest is returned, despite cancellation: a guest in another thread cannot be left alone.

    Raises the last cancellation then.
    """
    cancelled: asyncio.CancelledError | None = None
    while not task.returned:
        try:
            with anyio.CancelScope(shield=True):
                await task.wait()
        except asyncio.CancelledError as error:
            cancelled = error
    if cancelled is not None:
        raise cancelled


def _poll(task: CpuTask) -> bool:
    """Run one slice. ``True`` if the guest is done, waits for an answer, or has ended."""
    guest, budget, now = task.guest, task.budget, monotonic()
    if task.frees:
        guest.close(release_gil=True)
        return True
    if task.timed_out or budget.cpu_spent or now >= budget.deadline:  # a busy loop recalls its guest late
        if budget.used_s > 0:
            budget.stack = guest.interrupt(release_gil=True)
        task.failure = budget.cpu_limit_error() if budget.cpu_spent else DeadlineExceeded(frames=budget.stack)
        return True
    if not guest.may_grow:
        guest.keep_size()
    started = thread_time()
    try:
        task.done = guest.poll(release_gil=True)
    finally:
        took = thread_time() - started
        budget.used_s += took
        guest.see_memory()
    if took > OVERRUN_S:
        record_overrun(guest)
    return task.done or guest.pending is not None


def record_overrun(guest: Guest) -> None:
    """Record a slice longer than ``OVERRUN_S`` with the guest's module, if the guest can have caused it."""
    if not guest.large and (guest.may_have_large_memory or guest.calls >= _MANY_CALLS):
        guest.linked.record_overrun()
