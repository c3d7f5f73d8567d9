"""Tracks the requests to ``/v1/execute``: bounds the memory they take, and ends them when the runner ends."""

from __future__ import annotations

import asyncio
import math
from collections.abc import Callable
from enum import Enum
from functools import partial
from time import monotonic
from types import TracebackType

import anyio

from alga_common.fair_limiter import share
from alga_common.http.memory import RequestMemory
from alga_common.system.event_loop import scope_class

from ..errors import Overloaded
from ..settings import Settings
from .http import ClientGone, Exchange, Refused
from .request import read_body

REQUEST_BYTES = 16 * 1024
"""The estimated cost of a request without its body: its head, its connection's buffers, its task."""

LOOKED_AT_AFTER_S = 0.02
"""A request that stays that long is watched: so much later, at most twice, its work ends when its client is gone."""

_WEIGHT = 0.1
"""How much the latest request counts in the average time that requests take."""

_RETRY_AFTER_DRAINING_S = 1


def request_memory(settings: Settings) -> RequestMemory:
    """The bounds of ``settings``, raised so that one request of the largest size always fits."""
    largest = settings.max_http_body_bytes + REQUEST_BYTES
    limit = max(settings.max_http_bytes, largest)
    tenant_limit = settings.max_http_bytes_per_tenant
    if tenant_limit is None:
        tenant_limit = share(limit)
    return RequestMemory(limit, min(limit, max(tenant_limit, largest)))


class Ending(Enum):
    """Why a request was cancelled."""

    STOP = "the runner ends"
    GONE = "its client closed the connection"
    LATE = "its body did not arrive in time"


class TrackedRequest:
    """One request, tracked while entered. A block that is cancelled ends without an error; ``ending`` has the reason.

    Most requests end before they are looked at. Only those that stay have a timer for their body, and then watch their
    connection: in a task where the server does not tell that the client is gone.
    """

    def __init__(self, tracker: RequestTracker, tenant: str, exchange: Exchange) -> None:
        self.ending: Ending | None = None
        self._own_scope = exchange.open_scope is None
        self._scope = exchange.open_scope or scope_class()()
        self._tracker = tracker
        self._tenant = tenant
        self._exchange = exchange
        self._held = 0
        self._since = monotonic()
        self._body_timeout_s = 0.0
        self._is_reading = False
        self._is_looked_at = False
        self._late: asyncio.TimerHandle | None = None
        self._watching: asyncio.Task[None] | None = None

    async def __aenter__(self) -> TrackedRequest:
        self.hold(REQUEST_BYTES)
        self._tracker.add(self)
        if self._own_scope:
            self._scope.__enter__()
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> bool:
        self._tracker.memory.free(self._tenant, self._held)
        self._tracker.remove(self, monotonic() - self._since)
        if self._late is not None:
            self._late.cancel()
        if self._is_looked_at and self._exchange.when_gone is not None:
            self._exchange.when_gone(None)
        if self._watching is not None:
            self._watching.cancel()
            with anyio.CancelScope(shield=True):
                await asyncio.wait([self._watching])
        if self._own_scope or self._scope.cancel_called:
            return bool(self._scope.__exit__(kind, error, trace))
        return False

    def hold(self, count: int) -> None:
        """Hold ``count`` bytes more until the block ends. Raises ``Refused`` 503 or 429 ``overloaded``."""
        if not self._tracker.memory.try_take(self._tenant, count):
            raise self._tracker.no_memory(self._tenant, count)
        self._held += count

    async def read_body(self, *, limit: int, timeout_s: float) -> bytes:
        """Read the whole body, as ``read_body`` does; the block is cancelled after ``timeout_s``."""
        self._body_timeout_s, self._is_reading = timeout_s, True
        body = await read_body(self._exchange, limit=limit, hold=self.hold, owner=self._tenant)
        self._is_reading = False
        if self._late is not None:
            self._late.cancel()
        if self._is_looked_at:
            self._watch()
        return body

    def cancel(self, ending: Ending) -> None:
        """Cancel the block."""
        self.ending = self.ending or ending
        self._scope.cancel()

    def refusal(self) -> Exception:
        """What to raise once the block was cancelled."""
        match self.ending:
            case Ending.GONE:
                return ClientGone()
            case Ending.LATE:
                message = f"The request's body did not arrive within {self._body_timeout_s:g} s."
                return Refused(408, "request_timeout", message)
        return draining()

    def look(self, now: float) -> bool:
        """Whether the request is under way for ``LOOKED_AT_AFTER_S``; then it is bounded, or watched, from now on."""
        if now - self._since < LOOKED_AT_AFTER_S:
            return False
        self._is_looked_at = True
        if self._is_reading:
            left_s = self._since + self._body_timeout_s - now
            self._late = asyncio.get_running_loop().call_later(left_s, self.cancel, Ending.LATE)
        else:
            self._watch()
        return True

    def _watch(self) -> None:
        if self._exchange.when_gone is not None:
            self._exchange.when_gone(partial(self.cancel, Ending.GONE))
            return
        self._watching = asyncio.get_running_loop().create_task(self._cancel_when_gone())

    async def _cancel_when_gone(self) -> None:
        await self._exchange.gone()
        self.cancel(Ending.GONE)


class RequestTracker:
    """The requests under way, within the bounds of ``memory``. ``refused`` counts refusals by their reason."""

    def __init__(self, memory: RequestMemory, refused: Callable[[str], None]) -> None:
        self.memory = memory
        self.draining = False
        self._refused = refused
        self._new: dict[TrackedRequest, None] = {}
        """Those that were not looked at, oldest first."""
        self._looked_at: set[TrackedRequest] = set()
        """The others."""
        self._is_looking = False
        self._average_s = 0.0
        self._empty: anyio.Event | None = None

    def __len__(self) -> int:
        return len(self._new) + len(self._looked_at)

    def track(self, tenant: str, exchange: Exchange) -> TrackedRequest:
        """Admit a request of ``tenant``; the caller enters it. Raises ``Refused`` 503 ``draining``."""
        if self.draining:
            self._refused("draining")
            raise draining()
        return TrackedRequest(self, tenant, exchange)

    def no_memory(self, tenant: str, count: int) -> Refused:
        """The refusal of a request of ``tenant`` for which ``count`` bytes of the memory are not free."""
        memory = self.memory
        of_tenant = not memory.fits_tenant(tenant, count)
        self._refused("tenant_bytes" if of_tenant else "bytes")
        whose, limit = ("the tenant", memory.tenant_limit) if of_tenant else ("the runner", memory.limit)
        return overloaded(
            f"There is no room for the request: those under way may have {limit} bytes for {whose}.",
            retry_after_s=self._average_s,  # after that long, about as many bytes are free again
            of_tenant=of_tenant,
        )

    def add(self, request: TrackedRequest) -> None:
        """Begin to track ``request``."""
        self._new[request] = None
        if not self._is_looking:
            self._look_later()

    def remove(self, request: TrackedRequest, duration_s: float) -> None:
        """Track ``request`` no longer; it took ``duration_s`` seconds."""
        self._average_s += (duration_s - self._average_s) * _WEIGHT
        if request in self._new:
            del self._new[request]
        else:
            self._looked_at.remove(request)
        if self._empty is not None and not len(self):
            self._empty.set()

    async def drain(self, grace_s: float) -> None:
        """Admit no more requests, and return when none is under way; cancel them after ``grace_s`` seconds."""
        self.draining = True
        with anyio.move_on_after(grace_s):
            await self._wait_until_empty()
        self.stop()
        await self._wait_until_empty()

    def stop(self) -> None:
        """Admit no more requests, and cancel those under way."""
        self.draining = True
        for request in (*self._new, *self._looked_at):
            request.cancel(Ending.STOP)

    def _look_later(self) -> None:
        self._is_looking = True
        asyncio.get_running_loop().call_later(LOOKED_AT_AFTER_S, self._look)

    def _look(self) -> None:
        self._is_looking = False
        now = monotonic()
        while self._new and (oldest := next(iter(self._new))).look(now):
            del self._new[oldest]
            self._looked_at.add(oldest)
        if self._new:
            self._look_later()

    async def _wait_until_empty(self) -> None:
        while len(self):
            self._empty = anyio.Event()
            await self._empty.wait()


def no_room(error: Overloaded) -> Refused:
    """The refusal of a request that found no place to execute; nothing was carried out."""
    return overloaded(str(error), retry_after_s=error.retry_after_ms / 1000, of_tenant=error.of_tenant)


def overloaded(message: str, *, retry_after_s: float, of_tenant: bool) -> Refused:
    """The refusal when the runner is full, or a tenant has its whole share."""
    return Refused(429 if of_tenant else 503, "overloaded", message, headers=_retry_after(retry_after_s))


def draining() -> Refused:
    """The refusal of a runner that is about to end; nothing was carried out."""
    return Refused(
        503, "draining", "The runner is shutting down.", headers=_retry_after(_RETRY_AFTER_DRAINING_S)
    )


def _retry_after(seconds: float) -> tuple[tuple[bytes, bytes], ...]:
    return ((b"retry-after", b"%d" % max(1, math.ceil(seconds))),)
