"""Starts coroutines without delay, and gives a task to those that wait.

Most requests are answered without waiting. For them a task, the turn of the loop before it starts, and a cancel scope
would take longer than much of what they do. So a few tasks wait with their scopes open, and a coroutine begins in the
name of one of them (Python's "Extending asyncio", "Task lifetime support"). If it waits, that task carries it on as its
own: scopes that it has opened, and everything else that belongs to a task, stay right.
"""

from __future__ import annotations

import asyncio
from asyncio.tasks import _enter_task, _leave_task
from collections.abc import Callable, Coroutine, Generator
from contextvars import Context, copy_context
from types import coroutine
from typing import Any, Final, TypeAlias

import anyio

from ..system.event_loop import scope_class

MAX_IDLE = 32
"""Tasks that are kept for coroutines to come."""

Work: TypeAlias = Coroutine[Any, Any, None]

Make: TypeAlias = Callable[[anyio.CancelScope], Work]
"""Makes a coroutine to be run in a scope that is open. If that scope is cancelled, the coroutine leaves it."""

_ENDED: Final = object()


class Carriers:
    """The tasks of one server. Those that carry a coroutine are in ``under_way``."""

    def __init__(self) -> None:
        self.under_way: set[asyncio.Task[None]] = set()
        self._idle: list[_Carrier] = []

    def start(self, make: Make, context: Context | None = None) -> None:
        """Run a coroutine until it waits, or in the next turn of the loop if a task is running.

        It runs in ``context``, or in a copy of the caller's. What it raises but ``Exception`` is the caller's.
        """
        if context is None:
            context = copy_context()
        if self._idle:
            carrier = self._idle.pop()
            try:
                _enter_task(carrier.loop, carrier.task)
            except RuntimeError:  # a task is running
                self._idle.append(carrier)
            else:
                try:
                    has_ended = carrier.begin(make, context)
                except BaseException:
                    carrier.task.cancel()
                    raise
                if not has_ended:
                    self.under_way.add(carrier.task)
                elif carrier.is_usable:
                    self._idle.append(carrier)
                else:
                    carrier.task.cancel()
                return
        carrier = _Carrier(self, make, context)
        self.under_way.add(carrier.task)
        carrier.task.add_done_callback(self.under_way.discard)

    def keep(self, carrier: _Carrier) -> bool:
        """Take back a task whose coroutine has ended; returns whether there is room for it."""
        self.under_way.discard(carrier.task)
        if len(self._idle) >= MAX_IDLE:
            return False
        self._idle.append(carrier)
        return True

    def close(self) -> None:
        """End the tasks that carry nothing."""
        idle, self._idle = self._idle, []
        for carrier in idle:
            carrier.task.cancel()


class _Carrier:
    """A task, and the scope that is open in it as long as it lives."""

    def __init__(self, carriers: Carriers, make: Make, context: Context) -> None:
        self.loop = asyncio.get_running_loop()
        self._carriers = carriers
        self._scope = scope_class()()
        self._context = context
        self._begun: tuple[Work, object] | None = None
        """What began in this task's name, and what it waits for."""
        self._call = self.loop.create_future()
        """Has a result when there is work for the task."""
        self.task = self.loop.create_task(self._run(make))

    @property
    def is_usable(self) -> bool:
        """Whether a coroutine may begin in the task's name: it was not cancelled, nor its scope."""
        return not (self._scope.cancel_called or self._call.done())

    def begin(self, make: Make, context: Context) -> bool:
        """Run a coroutine until it waits; returns whether it has ended. The loop takes this task for the running one,
        which ends here.
        """
        self._context = context
        try:
            work = make(self._scope)
            waits_for = self._step(work.send, None)
        except asyncio.CancelledError:
            return True
        finally:
            _leave_task(self.loop, self.task)
        if waits_for is _ENDED:
            return True
        _mark(waits_for, False)  # others may begin to wait for it in this turn
        self._begun = work, waits_for
        if not self._call.done():  # it is where the coroutine has cancelled its task
            self._call.set_result(None)
        return False

    async def _run(self, make: Make) -> None:
        self._scope.__enter__()
        work = make(self._scope)
        await self._carry(work, self._step(work.send, None))
        while self.is_usable and not self.task.cancelling() and self._carriers.keep(self):
            await self._carry_next()

    async def _carry_next(self) -> None:
        cancelled: asyncio.CancelledError | None = None
        try:
            await self._call
        except asyncio.CancelledError as error:
            cancelled = error
        self._call = self.loop.create_future()
        begun, self._begun = self._begun, None
        if begun is not None:
            work, waits_for = begun
            if waits_for is None and cancelled is None and not self._scope.cancel_called:
                # It waits for the next turn of the loop, which this is. One that is cancelled meanwhile waits one more,
                # in which anyio ends it.
                waits_for = self._step(work.send, None)
            else:
                _mark(waits_for, True)
            # As asyncio does it: what a cancelled task waits for is cancelled, and that ends the wait.
            if cancelled is not None and not (asyncio.isfuture(waits_for) and waits_for.cancel()):
                waits_for = self._step(work.throw, cancelled)
            await self._carry(work, waits_for)
        elif cancelled is not None:
            raise cancelled

    @coroutine
    def _carry(self, work: Work, waits_for: object) -> Generator[Any, Any, None]:
        while waits_for is not _ENDED:
            try:
                given = yield waits_for
            except BaseException as error:  # noqa: BLE001 - cancellation, which is the coroutine's
                waits_for = self._step(work.throw, error)
            else:
                waits_for = self._step(work.send, given)

    def _step(self, step: Callable[[Any], object], given: object) -> object:
        try:
            return self._context.run(step, given)
        except StopIteration:
            return _ENDED


def _mark(waits_for: object, is_taken: bool) -> None:
    """Mark a future as one that a task is about to take, as ``await`` does. Until then no other may wait for it."""
    if asyncio.isfuture(waits_for):
        waits_for._asyncio_future_blocking = is_taken  # noqa: SLF001 - Python's "Extending asyncio" has no other way
