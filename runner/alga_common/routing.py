"""Find the endpoint for a path: segments match literally, ``:name`` and ``{name}`` match any one segment
(alga-contract 1.9)."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from functools import lru_cache
from typing import Protocol, TypeVar
from urllib.parse import quote, unquote_to_bytes

from .wire import MAX_SELECTOR

_SCHEDULABLE_METHODS = frozenset({"GET", "POST"})
_PARAMETER = re.compile(r":.+|\{.+\}", re.DOTALL)
_PLAIN_IN_QUERY = "!\"$%&'()*+,-./:;<=>?@[\\]^_`{|}~"
"""Every visible character of ASCII that is no letter or digit, but ``#``, which would begin a fragment."""

_PLAIN_IN_SEGMENT = "-._~!$&'()*+,;=:@"


class Endpoint(Protocol):
    """An endpoint that a manifest declares."""

    @property
    def method(self) -> str:
        """Upper case."""
        ...

    @property
    def path(self) -> str:
        """With a leading slash."""
        ...


EndpointT = TypeVar("EndpointT", bound=Endpoint)


def split_path(raw: bytes) -> tuple[str, ...] | None:
    """Return the decoded segments of a percent-encoded path without its leading slash; ``None`` if one is not UTF-8.

    Each segment is decoded by itself, so that an encoded slash stays in its segment.
    """
    try:
        return tuple(unquote_to_bytes(part).decode() for part in raw.split(b"/"))
    except UnicodeDecodeError:
        return None


def quoted_query(query: bytes | str) -> str:
    """Return ``query`` as it is written, with only what no URL has percent-encoded: spaces, controls, ``#``."""
    return quote(query, safe=_PLAIN_IN_QUERY)


def join_path(segments: Iterable[str]) -> str:
    """Return the path of ``segments`` with a leading slash, percent-encoded; equal segments give equal text."""
    return "/" + "/".join(quote(segment, safe=_PLAIN_IN_SEGMENT) for segment in segments)


def matching(endpoints: Iterable[EndpointT], segments: Sequence[str]) -> dict[str, EndpointT]:
    """Return the endpoints that match ``segments``, by method. A literal segment wins over a parameter."""
    matched = [endpoint for endpoint in endpoints if _matches(_declared(endpoint.path), segments)]
    if len(matched) > 1:
        matched.sort(key=lambda endpoint: [parameter for _, parameter in _declared(endpoint.path)])
    by_method: dict[str, EndpointT] = {}
    for endpoint in matched:
        by_method.setdefault(endpoint.method, endpoint)
    return by_method


@lru_cache(maxsize=2_000)
def _declared(path: str) -> tuple[tuple[str, bool], ...]:
    """Each segment of an endpoint's path, and whether it is a parameter."""
    return tuple(
        (segment, _PARAMETER.fullmatch(segment) is not None) for segment in path.removeprefix("/").split("/")
    )


def _matches(declared: tuple[tuple[str, bool], ...], segments: Sequence[str]) -> bool:
    if len(declared) != len(segments):
        return False
    for (segment, parameter), sent in zip(declared, segments, strict=True):
        # A parameter never matches an empty segment, nor dots, which a guest may take for another folder.
        if segment != sent and (not parameter or sent in {"", ".", ".."}):
            return False
    return True


def schedulable(method: str, path: str) -> bool:
    """Whether a schedule can call an endpoint: GET or POST, no path parameters, and short enough to be named."""
    short = len(f"{method} {path}") <= MAX_SELECTOR
    return method in _SCHEDULABLE_METHODS and not set(":{}") & set(path) and short
