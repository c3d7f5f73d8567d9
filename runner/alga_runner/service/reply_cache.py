"""Who has the most, of many whose holdings change all the time.

Which requests are being carried out, who waits for them, and the replies that were kept: rules without waiting.

What is kept is bounded; no tenant pushes another's reply out while it has more of its own.

Replies kept in this process, for this process.
"""

from __future__ import annotations

import asyncio
import heapq
from collections import OrderedDict, deque
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from time import monotonic
from typing import Generic, Self, TypeVar

from ..settings import Settings
from .http import Answer
from .idempotency import IdempotencyKey, KeyReused, Replies, replayed

T = TypeVar("T", bound=bytes | str | int)


class Heaviest(Generic[T]):
    """Holders and what each has. A change and a look cost the logarithm of how many there are.

    The heap keeps what was true once; what is no longer true is skipped, and swept out when it is most of the heap.
    """

    def __init__(self) -> None:
        self._has: dict[T, int] = {}
        self._heap: list[tuple[int, T]] = []

    def set(self, holder: T, amount: int) -> None:
        """``holder`` has ``amount`` now; with 0 it is forgotten."""
        if not amount:
            self._has.pop(holder, None)
            return
        self._has[holder] = amount
        heapq.heappush(self._heap, (-amount, holder))
        if len(self._heap) > 2 * len(self._has) + 64:
            self._heap = [(-has, each) for each, has in self._has.items()]
            heapq.heapify(self._heap)

    def first(self) -> T:
        """The one with the most; of equals, the least by name. Raises ``IndexError`` when nobody has anything."""
        while self._has.get(self._heap[0][1]) != -self._heap[0][0]:
            heapq.heappop(self._heap)
        return self._heap[0][1]


_OVERHEAD_BYTES = 512
"""About what a kept reply costs beside its body."""

News = Callable[[Answer | None], None]
"""Told to one who waits: the reply there is now, or ``None``, which is: carry it out yourself."""


class Ticket:
    """A request that is carried out, if it is the ``first`` under its key, or waits for the one that is."""

    __slots__ = ("first", "keyed", "news")

    def __init__(self, keyed: IdempotencyKey, news: News, *, first: bool) -> None:
        self.keyed = keyed
        self.news = news
        self.first = first


@dataclass(frozen=True, slots=True)
class _Kept:
    keyed: IdempotencyKey
    answer: Answer
    until: float

    @property
    def size(self) -> int:
        return len(self.answer.body) + _OVERHEAD_BYTES


@dataclass(slots=True)
class _Holding:
    """What one tenant has here: its places, the oldest first, and their bytes."""

    places: OrderedDict[bytes, None] = field(default_factory=OrderedDict)
    bytes: int = 0


class ReplyCache:
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
        self._under_way: dict[bytes, deque[Ticket]] = {}
        """By place, the first and those that wait for it, in their order."""

    @classmethod
    def within(cls, settings: Settings, clock: Callable[[], float] = monotonic) -> Self:
        """With the bounds of ``settings``."""
        return cls(
            max_replies=settings.idempotency_max_replies,
            max_bytes=settings.idempotency_max_bytes,
            ttl_s=settings.idempotency_ttl_ms / 1000,
            clock=clock,
        )

    def claim(self, keyed: IdempotencyKey, news: News) -> Answer | Ticket:
        """The kept reply, or a ticket: for the first, which may be carried out, or for one that waits for ``news``.

        Whoever has a ticket gives it back. Raises ``KeyReused`` for another request under the key.
        """
        self._drop_expired()
        kept = self._kept.get(keyed.place)
        if kept is not None:
            if kept.keyed.fingerprint != keyed.fingerprint:
                raise KeyReused
            return kept.answer
        queue = self._under_way.get(keyed.place)
        if queue is None:
            queue = self._under_way[keyed.place] = deque()
        elif queue[0].keyed.fingerprint != keyed.fingerprint:
            raise KeyReused
        ticket = Ticket(keyed, news, first=not queue)
        queue.append(ticket)
        return ticket

    def give_back(self, ticket: Ticket, answer: Answer | None) -> None:
        """``ticket`` was carried out with ``answer``, or ended without a reply to keep. May be called again.

        With an answer, all who wait get it; else the next of them is the first.
        """
        queue = self._under_way.get(ticket.keyed.place)
        if queue is None or ticket not in queue:
            return
        queue.remove(ticket)
        if ticket.first and answer is not None:
            del self._under_way[ticket.keyed.place]
            reply = replayed(answer)
            self._keep(_Kept(ticket.keyed, reply, self._clock() + self._ttl_s))
            for each in queue:
                each.news(reply)
        elif not queue:
            del self._under_way[ticket.keyed.place]
        elif ticket.first:
            queue[0].first = True
            queue[0].news(None)

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


class KeptReplies(Replies):
    """Waits as the rules of ``ledger`` say."""

    def __init__(self, ledger: ReplyCache) -> None:
        self._ledger = ledger

    async def once(self, keyed: IdempotencyKey, carry_out: Callable[[], Awaitable[Answer]]) -> Answer:
        """See ``Replies.once``."""
        news: asyncio.Future[Answer | None] = asyncio.get_running_loop().create_future()

        def tell(answer: Answer | None) -> None:
            if not news.done():  # else it has been given up, and is about to give its ticket back
                news.set_result(answer)

        found = self._ledger.claim(keyed, tell)
        if isinstance(found, Answer):
            return found
        reply: Answer | None = None
        try:
            if not found.first and (answer := await news) is not None:
                return answer
            answer = await carry_out()
            if answer.outcome == "ok":
                reply = answer
            return answer
        finally:
            self._ledger.give_back(found, reply)
