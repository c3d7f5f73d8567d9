"""Opened envelopes, for a while: bounded in number, bytes and time, with a share for each tenant.

The plaintext is dropped when its time is over, whether or not anyone asks again (alga-contract 7, fault 8).
"""

from __future__ import annotations

import asyncio
from collections import OrderedDict
from collections.abc import Mapping
from dataclasses import dataclass

from alga_common.fair_limiter import share

MAX_ENTRIES = 1_000
MAX_BYTES = 16 * 1024 * 1024
MAX_AGE_S = 30.0


@dataclass(slots=True)
class _Entry:
    tenant_id: str
    secrets: Mapping[str, str]
    size: int
    timer: asyncio.TimerHandle


class SecretCache:
    """Secrets by the digest of their envelope and of whose it is. All calls belong to one event loop."""

    def __init__(self, *, max_entries: int = MAX_ENTRIES, max_bytes: int = MAX_BYTES) -> None:
        self._max_entries = max_entries
        self._max_bytes = max_bytes
        self._entries: OrderedDict[bytes, _Entry] = OrderedDict()

    def __len__(self) -> int:
        return len(self._entries)

    def get(self, key: bytes) -> Mapping[str, str] | None:
        """The secrets under ``key``, if they are still kept."""
        entry = self._entries.get(key)
        return None if entry is None else entry.secrets

    def put(self, key: bytes, tenant_id: str, secrets: Mapping[str, str], age_s: float) -> None:
        """Keep ``secrets`` for ``age_s`` seconds, ``MAX_AGE_S`` at most, if a tenant's share has room for them."""
        size = sum(len(name) + len(value) for name, value in secrets.items())
        if age_s <= 0 or size > share(self._max_bytes):
            return
        self._drop(key)
        timer = asyncio.get_running_loop().call_later(min(age_s, MAX_AGE_S), self._drop, key)
        self._entries[key] = _Entry(tenant_id, secrets, size, timer)
        self._shrink(share(self._max_entries), share(self._max_bytes), tenant_id)
        self._shrink(self._max_entries, self._max_bytes)

    def clear(self) -> None:
        """Drop everything."""
        for key in list(self._entries):
            self._drop(key)

    def _shrink(self, max_entries: int, max_bytes: int, tenant_id: str | None = None) -> None:
        """Drop the oldest ones, of one tenant or of all, until the rest is within the bounds."""
        kept = {
            key: entry.size for key, entry in self._entries.items() if tenant_id in {None, entry.tenant_id}
        }
        size = sum(kept.values())
        for key in list(kept):
            if len(kept) <= max_entries and size <= max_bytes:
                return
            size -= kept.pop(key)
            self._drop(key)

    def _drop(self, key: bytes) -> None:
        entry = self._entries.pop(key, None)
        if entry is not None:
            entry.timer.cancel()
