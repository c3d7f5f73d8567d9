"""Idempotent replies for all workers: the supervisor keeps them, and says whose turn it is.

They lie in its memory, not in a file: nothing of them is left behind however the service ends, a twin that waits is
told at once, and no lock can be held by a worker that hangs. A worker that dies gives its tickets back.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial

from ..service.http import Answer
from ..service.idempotency import IdempotencyKey, KeyReused
from ..service.reply_cache import ReplyCache, Ticket
from .channel import ChannelBroken, Message
from .messages import reply_document, reply_of

MAX_CLAIMS = 20_000
"""Of one worker at once: more than a worker has executions."""


class WorkerClaims:
    """The claims of one worker. ``post`` answers it, and does nothing once it is gone."""

    def __init__(self, ledger: ReplyCache, post: Callable[[Message], None]) -> None:
        self._ledger = ledger
        self._post = post
        self._tickets: dict[int, Ticket] = {}

    def claim(self, number: int, keyed: IdempotencyKey) -> None:
        """May the worker carry out the request that it calls ``number``? Raises ``ChannelBroken``."""
        if number in self._tickets or len(self._tickets) >= MAX_CLAIMS:
            raise ChannelBroken("a claim that it has, or too many of them")
        try:
            found = self._ledger.claim(keyed, partial(self._tell, number))
        except KeyReused:
            self._post({"kind": "reused", "number": number})
            return
        if isinstance(found, Answer):
            self._tell(number, found)
            return
        self._tickets[number] = found
        if found.first:
            self._tell(number, None)

    def done(self, number: int, reply: object) -> None:
        """The worker carried it out, or gave it up. Raises ``ChannelBroken``."""
        answer = None if reply is None else reply_of(reply)
        ticket = self._tickets.pop(number, None)
        if ticket is not None:  # else it gave up a moment after it was answered
            self._ledger.give_back(ticket, answer)

    def close(self) -> None:
        """The worker is gone: what it had is free for others."""
        while self._tickets:
            self._ledger.give_back(self._tickets.popitem()[1], None)

    def _tell(self, number: int, answer: Answer | None) -> None:
        if answer is None:
            self._post({"kind": "carry_out", "number": number})
        else:
            self._tickets.pop(number, None)
            self._post({"kind": "reply", "number": number, "reply": reply_document(answer)})
