"""Driving a guest inside an event loop: run it, answer its host calls, let others have their turn."""

from __future__ import annotations

from collections.abc import Callable, Coroutine
from time import monotonic
from typing import Any

from anyio.lowlevel import checkpoint

from .guest import Guest
from .turns import turns

Answer = float | None
"""What a host call returns to the guest: a number, or nothing for a function without a result."""

Answerer = Callable[[int, tuple[Any, ...]], Answer | Coroutine[Any, Any, Answer]]
"""Answers the host function at a position in the linker, given its raw arguments: at once, or with a coroutine."""

TURN_S = 0.002
"""How long a guest and the host calls it makes may keep the event loop, in seconds.

A slice ends by itself only where the guest loops or calls a function of its own (wasmtime checks the epoch there), and
an answer that never waits gives the loop no turn either: calls written one after the other would keep it to the end.
"""


async def drive(guest: Guest, answerer: Answerer) -> None:
    """Carry out what was started on ``guest``, answering its host calls.

    A guest that used up its slice or ``TURN_S`` lets the event loop have a turn. Whatever the answerer raises ends
    the drive, and so does cancellation; the owner then closes the guest, which unwinds it wherever it is.
    """
    until = monotonic() + TURN_S
    while not guest.poll():
        call = guest.pending
        if call is not None:
            answer = answerer(call.function, call.arguments)
            guest.resume(await answer if isinstance(answer, Coroutine) else answer)
        if call is None:
            await turns.next()
        elif monotonic() > until:
            await checkpoint()
        else:
            continue
        until = monotonic() + TURN_S
