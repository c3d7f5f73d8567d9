"""Replies kept in this process's memory, bounded; no tenant pushes another's out while it has more of its own."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from time import monotonic
from typing import Self

import anyio

from ..settings import Settings
from .heaviest import Heaviest
from .http import Answer
from .idempotency import Keyed, KeyReused, Replies, replayed

_OVERHEAD_BYTES = 512
"""About what a kept reply costs beside its body."""


class _UnderWay:
    """A request that is being carried out; its twins wait for ``ended``."""

    def __init__(self, fingerprint: bytes) -> None:
        self.fingerprint = fingerprint
        self.ended = anyio.Event()
        self.answer: Answer | None = None


@dataclass(frozen=True, slots=True)
class _Kept:
    keyed: Keyed
    answer: Answer
    until: float

    @property
    def fingerprint(self) -> bytes:
        return self.keyed.fingerprint

    @property
    def size(self) -> int:
        return len(self.answer.body) + _OVERHEAD_BYTES


@dataclass(slots=True)
class _Holding:
    """What one tenant has here: its places, the oldest first, and their bytes."""

    places: OrderedDict[bytes, None] = field(default_factory=OrderedDict)
    bytes: int = 0


class KeptReplies(Replies):
    """Keeps up to ``max_replies`` of together ``max_bytes`` for ``ttl_s`` seconds of ``clock``.

    Where that is not enough, the oldest goes of the tenant that has most of what is short: replies or bytes.
    """

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
        self._holdings: dict[bytes, _Holding] = {}
        self._most_replies: Heaviest[bytes] = Heaviest()
        self._most_bytes: Heaviest[bytes] = Heaviest()
        self._under_way: dict[bytes, _UnderWay] = {}

    @classmethod
    def within(cls, settings: Settings, clock: Callable[[], float] = monotonic) -> Self:
        """With the bounds of ``settings``."""
        return cls(
            max_replies=settings.idempotency_max_replies,
            max_bytes=settings.idempotency_max_bytes,
            ttl_s=settings.idempotency_ttl_ms / 1000,
            clock=clock,
        )

    async def once(self, keyed: Keyed, carry_out: Callable[[], Awaitable[Answer]]) -> Answer:
        """See ``Replies.once``."""
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
                under_way.answer = replayed(answer)
                self._keep(_Kept(keyed, under_way.answer, self._clock() + self._ttl_s))
            return answer
        finally:
            del self._under_way[keyed.place]
            under_way.ended.set()

    def _keep(self, kept: _Kept) -> None:
        if kept.size > self._max_bytes:
            return
        self._kept[kept.keyed.place] = kept
        self._bytes += kept.size
        holding = self._holdings.setdefault(kept.keyed.tenant, _Holding())
        holding.places[kept.keyed.place] = None
        holding.bytes += kept.size
        self._weigh(kept.keyed.tenant, holding)
        while len(self._kept) > self._max_replies:
            self._drop_oldest_of(self._most_replies.first())
        while self._bytes > self._max_bytes:
            self._drop_oldest_of(self._most_bytes.first())

    def _drop_expired(self) -> None:
        now = self._clock()
        while self._kept and (oldest := next(iter(self._kept.values()))).until <= now:
            self._drop(oldest)

    def _drop_oldest_of(self, tenant: bytes) -> None:
        self._drop(self._kept[next(iter(self._holdings[tenant].places))])

    def _drop(self, kept: _Kept) -> None:
        tenant = kept.keyed.tenant
        holding = self._holdings[tenant]
        del self._kept[kept.keyed.place]
        self._bytes -= kept.size
        del holding.places[kept.keyed.place]
        holding.bytes -= kept.size
        if not holding.places:
            del self._holdings[tenant]
        self._weigh(tenant, holding)

    def _weigh(self, tenant: bytes, holding: _Holding) -> None:
        self._most_replies.set(tenant, len(holding.places))
        self._most_bytes.set(tenant, holding.bytes)
