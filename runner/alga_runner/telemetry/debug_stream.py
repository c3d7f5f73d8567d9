"""What guests log, live, to a Redis stream for each tenant and extension (alga-contract 4, "Debug stream").

Needs the package of ``alga-runner[redis]``, and imports it only where ``debug_redis_url`` is set. Events wait in a
bounded queue and leave in batches: a Redis that is slow or away costs events, which are counted, and no execution.
"""

from __future__ import annotations

import logging
from collections import Counter, deque
from collections.abc import Callable
from time import time
from typing import TYPE_CHECKING, Any, NamedTuple

import anyio

from ..errors import SettingsError
from ..settings import Settings
from .who import Who

if TYPE_CHECKING:
    from redis.asyncio import Redis

MAX_EVENTS = 2_000
"""Events that wait for Redis."""
MAX_EVENTS_PER_TENANT = MAX_EVENTS // 4
MAX_BATCH = 100
MAX_NAME_BYTES = 256
"""Bytes of a stream's tenant and of its extension."""

ANSWERS_WITHIN_S = 5
FINISHES_WITHIN_S = 2
"""How long a runner that ends tries to send the events that still wait."""
PAUSES_S = (0.5, 30.0)
"""The first pause after a failure, and the longest; each is twice the one before."""

logger = logging.getLogger("alga_runner")


class _Event(NamedTuple):
    tenant: str
    key: str
    fields: dict[str, str | int]


class DebugStream:
    """Sends lines that guests log to Redis while ``run`` runs. ``dropped`` gets the number of events that were lost."""

    def __init__(self, settings: Settings, dropped: Callable[[int], None]) -> None:
        """Raises ``SettingsError`` without the package, and for a URL that cannot be used. Nothing is sent yet."""
        self._redis = _client(settings)
        self._prefix = settings.debug_redis_stream_prefix
        self._max_events = settings.debug_redis_max_events
        self._max_bytes = settings.debug_max_event_bytes
        self._dropped = dropped
        self._waiting: deque[_Event] = deque()
        self._of_tenant: Counter[str] = Counter()
        self._more = anyio.Event()

    @classmethod
    def of(cls, settings: Settings, dropped: Callable[[int], None]) -> DebugStream | None:
        """What ``settings`` ask for. Raises ``SettingsError`` as the constructor does."""
        url = settings.debug_redis_url
        return cls(settings, dropped) if url is not None and url.get_secret_value() else None

    def push(self, who: Who, stream: str, level: str, message: str, *, truncated: bool) -> None:
        """Have one line sent; ``stream`` is ``log``, ``stdout`` or ``stderr``. A tenant with too many loses it."""
        tenant = who.tenant_id
        if len(self._waiting) >= MAX_EVENTS or self._of_tenant[tenant] >= MAX_EVENTS_PER_TENANT:
            self._dropped(1)
            return
        text, cut = _cut(message, self._max_bytes)
        fields: dict[str, str | int] = {
            "ts": int(time() * 1000),
            "level": level,
            "stream": stream,
            "tenant": tenant,
            "extension": who.extension_id,
            "install": who.install_id or "",
            "request": who.request_id or "",
            "version": who.version_id or "",
            "message": text,
            "truncated": int(truncated or cut),
        }
        self._waiting.append(_Event(tenant, self._key(who), fields))
        self._of_tenant[tenant] += 1
        self._more.set()

    async def run(self) -> None:
        """Send events as they come, until cancelled."""
        pause = PAUSES_S[0]
        while True:
            await self._more.wait()
            self._more = anyio.Event()
            while batch := self._batch():
                if await self._sent(batch):
                    pause = PAUSES_S[0]
                    continue
                await anyio.sleep(pause)
                pause = min(pause * 2, PAUSES_S[1])

    async def finish(self) -> None:
        """Send what waits, within ``FINISHES_WITHIN_S``, and close the connection."""
        with anyio.move_on_after(FINISHES_WITHIN_S, shield=True):
            while (batch := self._batch()) and await self._sent(batch):
                pass
        self._dropped(len(self._waiting))
        self._waiting.clear()
        self._of_tenant.clear()
        with anyio.move_on_after(FINISHES_WITHIN_S, shield=True):
            await self._redis.aclose()

    def _key(self, who: Who) -> str:
        names = [_cut(name, MAX_NAME_BYTES)[0].lower() for name in (who.tenant_id, who.extension_id)]
        return self._prefix + (":".join(names) if any(names) else "unknown")

    def _batch(self) -> list[_Event]:
        batch = [self._waiting.popleft() for _ in range(min(MAX_BATCH, len(self._waiting)))]
        self._of_tenant -= Counter(event.tenant for event in batch)
        return batch

    async def _sent(self, batch: list[_Event]) -> bool:
        """Send ``batch`` and return whether Redis took it; events that it did not take are lost."""
        from redis.exceptions import RedisError  # noqa: PLC0415 - an extra

        try:
            with anyio.fail_after(ANSWERS_WITHIN_S):
                async with self._redis.pipeline(transaction=False) as pipeline:
                    for _, key, fields in batch:
                        added: dict[Any, Any] = dict(fields)
                        pipeline.xadd(key, added, maxlen=self._max_events, approximate=True)
                    await pipeline.execute()
        except (RedisError, OSError) as error:
            self._dropped(len(batch))
            # Its text may have the address, and with it a password.
            logger.warning(
                "Debug events not sent to Redis: %s (events=%d)",
                type(error).__name__,
                len(batch),
                extra={"action": "debug_stream", "status": "unavailable"},
            )
            return False
        return True


def _client(settings: Settings) -> Redis:
    try:
        from redis.asyncio import Redis  # noqa: PLC0415 - an extra
        from redis.asyncio.retry import Retry  # noqa: PLC0415
        from redis.backoff import NoBackoff  # noqa: PLC0415
    except ImportError:
        raise SettingsError(
            f"The setting {Settings.named('debug_redis_url')} is there, and the client for Redis is not installed.",
            hint="pip install 'alga-runner[redis]', or remove the setting.",
        ) from None
    url, password = settings.debug_redis_url, settings.debug_redis_password
    options: dict[str, Any] = {"password": password.get_secret_value()} if password else {}
    try:
        client: Redis = Redis.from_url(
            url.get_secret_value() if url else "",
            retry=Retry(NoBackoff(), 0),
            socket_timeout=ANSWERS_WITHIN_S,
            socket_connect_timeout=ANSWERS_WITHIN_S,
            max_connections=1,
            **options,
        )
    except ValueError:  # its text has the URL
        raise SettingsError(
            f"The setting {Settings.named('debug_redis_url')} is no URL of a Redis server.",
            hint="It is like redis://redis.example:6379/0, rediss:// with TLS, or unix:///run/redis.sock.",
        ) from None
    return client


def _cut(text: str, most: int) -> tuple[str, bool]:
    """``text`` in at most ``most`` bytes of UTF-8, cut between characters; and whether it was cut."""
    encoded = text.encode("utf-8", "replace")
    if len(encoded) <= most:
        return encoded.decode(), False
    return encoded[:most].decode("utf-8", "ignore"), True
