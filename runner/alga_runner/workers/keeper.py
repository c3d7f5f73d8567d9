"""Idempotent replies for all workers: the supervisor keeps them, and says whose turn it is.

They lie in its memory, not in a file: nothing of them is left behind however the service ends, a twin that waits is
told at once, and no lock can be held by a worker that hangs. A worker that dies gives its claims back.
"""

from __future__ import annotations

from collections.abc import Callable

import anyio
from anyio.abc import TaskGroup

from ..service.http import Answer
from ..service.idempotency import Keyed, KeyReused, Replies
from .channel import ChannelBroken, Message
from .messages import reply_document, reply_of

MAX_CLAIMS = 20_000
"""Of one worker at once: more than a worker has executions."""

_NONE = Answer(0, b"", outcome="none")
"""Stands for an answer that is not kept."""


class _Claim:
    """A request of a worker's, from its question to its end."""

    def __init__(self) -> None:
        self.scope = anyio.CancelScope()
        self.done = anyio.Event()
        self.answer = _NONE


class Desk:
    """The claims of one worker. ``post`` answers it, and does nothing once it is gone."""

    def __init__(self, replies: Replies, tasks: TaskGroup, post: Callable[[Message], None]) -> None:
        self._replies = replies
        self._tasks = tasks
        self._post = post
        self._claims: dict[int, _Claim] = {}

    def claim(self, number: int, keyed: Keyed) -> None:
        """May the worker carry out the request that it calls ``number``? Raises ``ChannelBroken``."""
        if number in self._claims or len(self._claims) >= MAX_CLAIMS:
            raise ChannelBroken("a claim that it has, or too many of them")
        claim = self._claims[number] = _Claim()
        self._tasks.start_soon(self._settle, number, claim, keyed)

    def done(self, number: int, reply: object) -> None:
        """The worker carried it out, or gave it up. Raises ``ChannelBroken``."""
        claim = self._claims.get(number)
        if claim is None:
            return  # it gave up a moment after it was answered
        if reply is None:
            claim.scope.cancel()
            return
        claim.answer = reply_of(reply)
        claim.done.set()

    def close(self) -> None:
        """The worker is gone: what it had is free for others."""
        for claim in self._claims.values():
            if not claim.done.is_set():
                claim.scope.cancel()

    async def _settle(self, number: int, claim: _Claim, keyed: Keyed) -> None:
        async def carry_out() -> Answer:
            self._post({"kind": "carry_out", "number": number})
            await claim.done.wait()
            return claim.answer

        try:
            with claim.scope:
                self._tell(number, claim, await self._replies.once(keyed, carry_out))
        except KeyReused:
            self._post({"kind": "reused", "number": number})
        finally:
            del self._claims[number]

    def _tell(self, number: int, claim: _Claim, answer: Answer) -> None:
        if answer is not claim.answer:
            self._post({"kind": "reply", "number": number, "reply": reply_document(answer)})
