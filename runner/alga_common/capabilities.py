"""The names of capabilities (alga-contract 1.4)."""

from __future__ import annotations

from collections.abc import Collection, Iterable
from functools import lru_cache

KNOWN_CAPABILITIES = frozenset(
    {
        "cap:context.read",
        "cap:secrets.get",
        "cap:http.fetch",
        "cap:storage.kv",
        "cap:log.emit",
        "cap:ui.proxy",
        "cap:user.read",
        "cap:scheduler.manage",
        "cap:invoice.manual.create",
        "cap:client.read",
        "cap:service.read",
    }
)
"""Every capability that exists. A name outside this set is refused, not ignored."""

DEFAULT_CAPABILITIES = frozenset({"cap:context.read", "cap:log.emit", "cap:user.read"})
"""Granted to every execution. ``cap:scheduler.manage`` is not among them and never may be."""


def normalise_capabilities(names: Iterable[str]) -> frozenset[str]:
    """``names`` trimmed and lower-cased, blanks dropped (alga-contract 1.4)."""
    return frozenset(name for raw in names if (name := raw.strip().lower()))


def granted_capabilities(names: Collection[str]) -> frozenset[str]:
    """What ``names``, an execution's ``providers``, grant: those, normalised, and the defaults."""
    if KNOWN_CAPABILITIES.issuperset(names):
        return _with_defaults(tuple(names))
    return DEFAULT_CAPABILITIES.union(normalise_capabilities(names))


@lru_cache
def _with_defaults(names: tuple[str, ...]) -> frozenset[str]:
    """Of names that exist alone: a request cannot fill the cache with long names."""
    return DEFAULT_CAPABILITIES.union(names)


def unknown_capabilities(names: Collection[str]) -> list[str]:
    """Those of ``names``, normalised and sorted, that do not exist."""
    if KNOWN_CAPABILITIES.issuperset(names):
        return []
    return sorted(normalise_capabilities(names) - KNOWN_CAPABILITIES)
