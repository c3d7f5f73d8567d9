"""Runs a command's coroutine so that Ctrl-C ends it in order."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any, TypeVar

import anyio

from .interrupts import cancelled_with, is_interruptible
from .wakeup import signals_wake_the_loop

T = TypeVar("T")


class _Run:
    def __init__(self) -> None:
        self.interrupted = False
        self._task: asyncio.Task[Any] | None = None

    def interrupt(self) -> None:
        """Cancel the task, now or as soon as it starts. Called by a signal's handler."""
        self.interrupted = True
        if self._task is not None:
            self._task.get_loop().call_soon_threadsafe(self._task.cancel)

    async def carry_out(self, function: Callable[..., Awaitable[T]], *arguments: Any) -> T:
        """Await ``function``, unless the interrupt came before."""
        self._task = asyncio.current_task()
        try:
            if self.interrupted:
                raise asyncio.CancelledError
            with signals_wake_the_loop():
                return await function(*arguments)
        finally:
            self._task = None


def run(function: Callable[..., Awaitable[T]], *arguments: Any, options: dict[str, Any] | None = None) -> T:
    """``anyio.run``, which the first Ctrl-C cancels: ``KeyboardInterrupt`` is raised once everything has ended.

    ``options`` are those of asyncio in ``anyio.run``.
    """
    if not is_interruptible():
        return anyio.run(function, *arguments, backend_options=options)
    this = _Run()
    with cancelled_with(this.interrupt):
        try:
            return anyio.run(this.carry_out, function, *arguments, backend_options=options)
        finally:
            if this.interrupted:
                raise KeyboardInterrupt
