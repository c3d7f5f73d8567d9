"""Driving a guest inside an event loop: run it, answer its host calls, let others have their turn."""

from __future__ import annotations

from collections.abc import Callable, Coroutine, Sequence
from typing import Any

from anyio.lowlevel import checkpoint

from .guest import Guest

Answer = float | None
"""What a host call returns to the guest: a number, or nothing for a function without a result."""

Handler = Callable[..., Answer | Coroutine[Any, Any, Answer]]
"""Answers one host function, given its raw arguments: at once, or with a coroutine while the guest is suspended."""


async def drive(guest: Guest, handlers: Sequence[Handler]) -> None:
    """Carry out what was started on ``guest``, answering call ``n`` with ``handlers[n]``.

    A guest that used up its slice lets the event loop have a turn. Whatever a handler raises ends the drive, and so
    does cancellation; the owner then closes the guest, which unwinds it wherever it is.
    """
    while not guest.poll():
        call = guest.pending
        if call is None:
            await checkpoint()
            continue
        answer = handlers[call.function](*call.arguments)
        guest.resume(await answer if isinstance(answer, Coroutine) else answer)
