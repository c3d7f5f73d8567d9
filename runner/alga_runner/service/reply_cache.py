"""Idempotency keys and the reply cache: a request that is sent again gets the stored reply instead of running again.

Upstream's map has no scope, bound, fingerprint or lock (alga-contract 7, fault 1). Here a key belongs to one install of
one tenant, a stored reply answers the same request only, the cache is bounded in all and for each tenant, and a
request whose key is claimed by another one waits for that one's reply. Keys are stored as hashes.
"""

from __future__ import annotations

import asyncio
import hashlib
from abc import ABC, abstractmethod
from collections import OrderedDict, deque
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from time import monotonic
from typing import Self

from pydantic_core import to_json

from alga_common.fair_limiter import share

from ..models import ExecuteRequest
from ..settings import MIB, Settings
from .http import Answer

_REPLAYED = (b"idempotent-replayed", b"true")

_OVERHEAD_BYTES = 512
"""About what a stored reply costs in addition to its body."""


class KeyReused(Exception):
    """The key was used for another request."""


@dataclass(frozen=True, slots=True)
class IdempotencyKey:
    """A key within its scope, the request it was sent with, and the tenant whose share it takes: SHA-256 digests."""

    digest: bytes
    fingerprint: bytes
    tenant: bytes

    @classmethod
    def of(cls, key: bytes, request: ExecuteRequest) -> IdempotencyKey:
        """The key in the header ``x-idempotency-key`` of ``request``.

        Its scope is the install, the trigger and the user: a caller of the gateway chooses its keys, and must not be
        able to claim the key of a schedule's run, or one that another user is about to choose. The fingerprint covers
        what the caller asks for: method, path, query, content type, body, user, schedule and nominal time. It leaves
        out what differs when the same request is sent again (request id, execution token, tracing headers), and what
        others decide (version, grants, configuration, limits).
        """
        context, http = request.context, request.http
        user_id = request.user.user_id if request.user else None
        scope = [context.tenant_id, context.extension_id, context.install_id, context.trigger, user_id]
        asked = [
            http.method,
            http.path,
            sorted(http.query.items()),
            [value for name, value in http.header_pairs() if name.lower() == "content-type"],
            request.user,
            context.schedule_id,
            context.nominal_time,
            http.body_b64 is None,
        ]
        digest = hashlib.sha256(to_json(scope) + key)
        fingerprint = hashlib.sha256(to_json(asked))
        fingerprint.update((http.body_b64 or "").strip().encode())
        tenant = hashlib.sha256(context.tenant_id.encode())
        return cls(digest.digest(), fingerprint.digest(), tenant.digest())


Notify = Callable[[Answer | None], None]
"""Called when a waiting request is next: with the stored reply, or with ``None`` when its claim is granted."""


@dataclass(slots=True, eq=False)
class Claim:
    """A request's claim of its key. ``granted``: it may be executed; else it waits for the one that is."""

    key: IdempotencyKey
    notify: Notify
    granted: bool


@dataclass(frozen=True, slots=True)
class _StoredReply:
    key: IdempotencyKey
    answer: Answer
    expires_at: float

    @property
    def size(self) -> int:
        return len(self.answer.body) + _OVERHEAD_BYTES


@dataclass(slots=True)
class _TenantReplies:
    """The stored replies of one tenant, oldest first."""

    replies: OrderedDict[bytes, _StoredReply] = field(default_factory=OrderedDict)
    size: int = 0


class ReplyCache:
    """The rules, without waiting: which keys are claimed, which requests wait, and which replies are stored.

    Stores up to ``max_replies`` of ``max_bytes`` in total for ``ttl_s`` seconds of ``clock``. One tenant has at most
    its share of both (``tenant_bytes`` replaces the share of the bytes); a tenant at its share evicts its own oldest
    reply. When all tenants together fill the cache, the oldest reply goes of a tenant that has at least an equal part.
    """

    def __init__(
        self,
        *,
        max_replies: int,
        max_bytes: int,
        ttl_s: float,
        tenant_bytes: int | None = None,
        clock: Callable[[], float] = monotonic,
    ) -> None:
        self._max_replies = max_replies
        self._max_bytes = max_bytes
        self._tenant_replies = share(max_replies)
        self._tenant_bytes = share(max_bytes) if tenant_bytes is None else tenant_bytes
        self._ttl_s = ttl_s
        self._clock = clock
        self._stored: OrderedDict[bytes, _StoredReply] = OrderedDict()
        self._size = 0
        self._tenants: OrderedDict[bytes, _TenantReplies] = OrderedDict()
        self._claims: dict[bytes, deque[Claim]] = {}
        """By key: the granted claim, then those that wait, oldest first."""

    @classmethod
    def of(cls, settings: Settings, clock: Callable[[], float] = monotonic) -> Self:
        """The cache with the bounds of ``settings``; one reply of the largest size fits into a tenant's share."""
        max_bytes = settings.idempotency_max_bytes
        largest = settings.max_body_bytes * 4 // 3 + MIB  # a body in base64, its headers
        return cls(
            max_replies=settings.idempotency_max_replies,
            max_bytes=max_bytes,
            tenant_bytes=min(max_bytes, max(share(max_bytes), largest)),
            ttl_s=settings.idempotency_ttl_ms / 1000,
            clock=clock,
        )

    def claim(self, key: IdempotencyKey, notify: Notify) -> Answer | Claim:
        """The stored reply, or a claim, which the caller must ``release``; if it waits, ``notify`` is called.

        Raises ``KeyReused`` for another request under the key.
        """
        self._evict_expired()
        stored = self._stored.get(key.digest)
        claims = self._claims.get(key.digest)
        first = stored.key if stored else claims[0].key if claims else key
        if first.fingerprint != key.fingerprint:
            raise KeyReused
        if stored:
            return stored.answer
        if claims is None:
            claims = self._claims[key.digest] = deque()
        claim = Claim(key, notify, granted=not claims)
        claims.append(claim)
        return claim

    def release(self, claim: Claim, reply: Answer | None) -> None:
        """End ``claim``. A ``reply`` is stored and given to all that wait; without one, the next claim is granted.

        May be called again.
        """
        digest = claim.key.digest
        claims = self._claims.get(digest)
        if claims is None or claim not in claims:
            return
        claims.remove(claim)
        if claim.granted and reply is not None:
            del self._claims[digest]
            replayed = reply._replace(headers=(*reply.headers, _REPLAYED), outcome="replayed")
            self._store(_StoredReply(claim.key, replayed, self._clock() + self._ttl_s))
            for waiting in claims:
                waiting.notify(replayed)
        elif not claims:
            del self._claims[digest]
        elif claim.granted:
            claims[0].granted = True
            claims[0].notify(None)

    def _store(self, stored: _StoredReply) -> None:
        if stored.size > self._tenant_bytes:
            return
        tenant = self._tenants.setdefault(stored.key.tenant, _TenantReplies())
        self._stored[stored.key.digest] = tenant.replies[stored.key.digest] = stored
        self._size += stored.size
        tenant.size += stored.size
        while len(tenant.replies) > self._tenant_replies or tenant.size > self._tenant_bytes:
            self._evict_oldest_of(tenant)
        while len(self._stored) > self._max_replies:
            self._evict_oldest_of(self._with_equal_part(lambda other: len(other.replies), len(self._stored)))
        while self._size > self._max_bytes:
            self._evict_oldest_of(self._with_equal_part(lambda other: other.size, self._size))

    def _with_equal_part(self, measure: Callable[[_TenantReplies], int], total: int) -> _TenantReplies:
        """A tenant that has at least an equal part of ``total``. It stays first, so the next search is short."""
        count = len(self._tenants)
        while measure(tenant := next(iter(self._tenants.values()))) * count < total:
            self._tenants.move_to_end(next(iter(self._tenants)))
        return tenant

    def _evict_expired(self) -> None:
        now = self._clock()
        while self._stored and (oldest := next(iter(self._stored.values()))).expires_at <= now:
            self._evict(oldest)

    def _evict_oldest_of(self, tenant: _TenantReplies) -> None:
        self._evict(next(iter(tenant.replies.values())))

    def _evict(self, stored: _StoredReply) -> None:
        tenant = self._tenants[stored.key.tenant]
        del self._stored[stored.key.digest], tenant.replies[stored.key.digest]
        self._size -= stored.size
        tenant.size -= stored.size
        if not tenant.replies:
            del self._tenants[stored.key.tenant]


class Replies(ABC):
    """Replies to requests with an idempotency key, wherever the cache is: here, or in the supervisor."""

    @abstractmethod
    async def once(self, key: IdempotencyKey, execute: Callable[[], Awaitable[Answer]]) -> Answer:
        """The stored reply, or what ``execute`` answers; of its answers, guests' replies (``ok``) are stored.

        While another request has claimed the key, this one waits; if that one ends without a guest's reply, the
        request that has waited longest is executed. A stored reply has the outcome ``replayed`` and a header that
        tells the client. Raises ``KeyReused`` for another request under the key.
        """


class LocalReplies(Replies):
    """Replies in the ``cache`` of this process."""

    def __init__(self, cache: ReplyCache) -> None:
        self._cache = cache

    async def once(self, key: IdempotencyKey, execute: Callable[[], Awaitable[Answer]]) -> Answer:
        """See ``Replies.once``."""
        turn: asyncio.Future[Answer | None] = asyncio.get_running_loop().create_future()

        def notify(reply: Answer | None) -> None:
            if not turn.done():  # else this request was cancelled and is about to release its claim
                turn.set_result(reply)

        claim = self._cache.claim(key, notify)
        if isinstance(claim, Answer):
            return claim
        reply: Answer | None = None
        try:
            if not claim.granted and (stored := await turn) is not None:
                return stored
            answer = await execute()
            if answer.outcome == "ok":
                reply = answer
            return answer
        finally:
            self._cache.release(claim, reply)
