"""The supervisor's side of idempotent replies: all workers share its reply cache.

The cache is in the supervisor's memory, not in a file: nothing of it is left behind when the service ends, a waiting
request is answered immediately, and a worker that hangs holds no lock. The claims of a worker that dies are released.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial

from ..service.http import Answer
from ..service.reply_cache import Claim, IdempotencyKey, KeyReused, ReplyCache
from .channel import ChannelBroken, Message
from .messages import reply_document, reply_of

MAX_CLAIMS = 20_000
"""Concurrent claims of one worker; more than it has executions."""


class WorkerClaims:
    """The claims of one worker, by the number that the worker gave each. ``post`` sends the worker a message."""

    def __init__(self, cache: ReplyCache, post: Callable[[Message], None]) -> None:
        self._cache = cache
        self._post = post
        self._claims: dict[int, Claim] = {}

    def claim(self, number: int, key: IdempotencyKey) -> None:
        """Claim ``key`` for the worker's request ``number``, and post the outcome, now or once it is known.

        Raises ``ChannelBroken`` for a number that is in use, and for too many claims.
        """
        if number in self._claims or len(self._claims) >= MAX_CLAIMS:
            raise ChannelBroken("a claim under a number that is in use, or too many claims")
        try:
            claim = self._cache.claim(key, partial(self._notify, number))
        except KeyReused:
            self._post({"kind": "key_reused", "number": number})
            return
        if isinstance(claim, Answer):
            self._notify(number, claim)
            return
        self._claims[number] = claim
        if claim.granted:
            self._notify(number, None)

    def release(self, number: int, reply: object) -> None:
        """The worker ends a claim, with a reply to store or ``None``. Raises ``ChannelBroken`` for no reply."""
        answer = None if reply is None else reply_of(reply)
        claim = self._claims.pop(number, None)
        if claim is not None:  # else the request was cancelled just after its reply was posted
            self._cache.release(claim, answer)

    def close(self) -> None:
        """Release all claims: the worker ended."""
        while self._claims:
            self._cache.release(self._claims.popitem()[1], None)

    def _notify(self, number: int, reply: Answer | None) -> None:
        if reply is None:
            self._post({"kind": "claim_granted", "number": number})
        else:
            self._claims.pop(number, None)
            self._post({"kind": "reply", "number": number, "reply": reply_document(reply)})
