"""Driving a guest inside an event loop: run it, answer its host calls, let others have their turn."""

from __future__ import annotations

from collections.abc import Callable, Coroutine
from typing import Any

from anyio.lowlevel import checkpoint

from .guest import Guest

Answer = float | None
"""What a host call returns to the guest: a number, or nothing for a function without a result."""

Answerer = Callable[[int, tuple[Any, ...]], Answer | Coroutine[Any, Any, Answer]]
"""Answers the host function at a position in the linker, given its raw arguments: at once, or with a coroutine."""


async def drive(guest: Guest, answerer: Answerer) -> None:
    """Carry out what was started on ``guest``, answering its host calls.

    A guest that used up its slice lets the event loop have a turn. Whatever the answerer raises ends the drive, and so
    does cancellation; the owner then closes the guest, which unwinds it wherever it is.
    """
    while not guest.poll():
        call = guest.pending
        if call is None:
            await checkpoint()
            continue
        answer = answerer(call.function, call.arguments)
        guest.resume(await answer if isinstance(answer, Coroutine) else answer)
