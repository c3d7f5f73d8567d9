"""Replies kept for their idempotency keys, so that a request sent again is not carried out again.

Upstream's map has no scope, bound, fingerprint or lock (alga-contract 7, fault 1). Here a key belongs to one install
of one tenant, a reply is only given back for the same request, everything kept is bounded, and a request that finds
its twin under way waits for it. Keys are kept as hashes.
"""

from __future__ import annotations

import hashlib
from collections import OrderedDict
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, replace
from time import monotonic

import anyio
from pydantic_core import to_json

from ..models import ExecuteRequest
from .http import Answer

_OVERHEAD_BYTES = 512
"""About what a kept reply costs beside its body."""

_REPLAYED = (b"idempotent-replayed", b"true")


class KeyReused(Exception):
    """The key was used for another request."""


@dataclass(frozen=True, slots=True)
class Keyed:
    """Where a reply is kept, and what request it answers; both are SHA-256 digests."""

    place: bytes
    fingerprint: bytes

    @classmethod
    def of(cls, key: bytes, request: ExecuteRequest) -> Keyed:
        """The place of ``key`` for the request's install, and the request's fingerprint.

        The place has the trigger too: whoever calls through the gateway chooses the key, and must not be able to take
        the one that a schedule's run will have. The fingerprint covers what the caller asks for: method, path, query,
        content type, body, user, schedule and nominal time. It leaves out what differs when the same request is sent
        again (request id, execution token, tracing headers), and what others decide (version, grants, configuration,
        limits).
        """
        context, http = request.context, request.http
        scope = [context.tenant_id, context.extension_id, context.install_id, context.trigger]
        asked = [
            http.method,
            http.path,
            sorted(http.query.items()),
            [value for name, value in http.headers.items() if name.lower() == "content-type"],
            request.user,
            context.schedule_id,
            context.nominal_time,
            http.body_b64 is None,
        ]
        place = hashlib.sha256(to_json(scope) + key)
        fingerprint = hashlib.sha256(to_json(asked))
        fingerprint.update((http.body_b64 or "").strip().encode())
        return cls(place.digest(), fingerprint.digest())


class _UnderWay:
    """A request that is being carried out; its twins wait for ``ended``."""

    def __init__(self, fingerprint: bytes) -> None:
        self.fingerprint = fingerprint
        self.ended = anyio.Event()
        self.answer: Answer | None = None


@dataclass(frozen=True, slots=True)
class _Kept:
    fingerprint: bytes
    answer: Answer
    until: float


class Replies:
    """Keeps up to ``max_replies`` of together ``max_bytes`` for ``ttl_s`` seconds of ``clock``, oldest out first."""

    def __init__(
        self,
        *,
        max_replies: int,
        max_bytes: int,
        ttl_s: float,
        clock: Callable[[], float] = monotonic,
    ) -> None:
        self._max_replies = max_replies
        self._max_bytes = max_bytes
        self._ttl_s = ttl_s
        self._clock = clock
        self._kept: OrderedDict[bytes, _Kept] = OrderedDict()
        self._bytes = 0
        self._under_way: dict[bytes, _UnderWay] = {}

    async def once(self, keyed: Keyed, carry_out: Callable[[], Awaitable[Answer]]) -> Answer:
        """The kept reply, or what ``carry_out`` answers; of its answers, guests' replies (``ok``) are kept.

        Raises ``KeyReused``. Where the one under way ends without a guest's reply, one of those who waited is next.
        """
        while True:
            self._drop_expired()
            kept = self._kept.get(keyed.place)
            first = self._under_way.get(keyed.place)
            known = kept or first
            if known is not None and known.fingerprint != keyed.fingerprint:
                raise KeyReused
            if kept is not None:
                return kept.answer
            if first is None:
                return await self._carry_out(keyed, carry_out)
            await first.ended.wait()
            if first.answer is not None:
                return first.answer

    async def _carry_out(self, keyed: Keyed, carry_out: Callable[[], Awaitable[Answer]]) -> Answer:
        under_way = self._under_way[keyed.place] = _UnderWay(keyed.fingerprint)
        try:
            answer = await carry_out()
            if answer.outcome == "ok":
                under_way.answer = replace(answer, headers=(*answer.headers, _REPLAYED), outcome="replayed")
                self._keep(keyed, under_way.answer)
            return answer
        finally:
            del self._under_way[keyed.place]
            under_way.ended.set()

    def _keep(self, keyed: Keyed, answer: Answer) -> None:
        size = _size(answer)
        if size > self._max_bytes:
            return
        self._kept[keyed.place] = _Kept(keyed.fingerprint, answer, self._clock() + self._ttl_s)
        self._bytes += size
        while len(self._kept) > self._max_replies or self._bytes > self._max_bytes:
            self._drop_oldest()

    def _drop_expired(self) -> None:
        now = self._clock()
        while self._kept and next(iter(self._kept.values())).until <= now:
            self._drop_oldest()

    def _drop_oldest(self) -> None:
        _, kept = self._kept.popitem(last=False)
        self._bytes -= _size(kept.answer)


def _size(answer: Answer) -> int:
    return len(answer.body) + _OVERHEAD_BYTES
