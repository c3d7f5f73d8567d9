"""Find the endpoint for a path: segments match literally, ``:name`` and ``{name}`` match any one segment
(alga-contract 1.9)."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
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
    by_method: dict[str, EndpointT] = {}
    for endpoint in sorted(endpoints, key=lambda endpoint: [*map(_is_parameter, _declared(endpoint.path))]):
        declared = _declared(endpoint.path)
        if len(declared) == len(segments) and all(map(_matches, declared, segments)):
            by_method.setdefault(endpoint.method, endpoint)
    return by_method


def _declared(path: str) -> list[str]:
    return path.removeprefix("/").split("/")


def _is_parameter(segment: str) -> bool:
    return _PARAMETER.fullmatch(segment) is not None


def _matches(declared: str, sent: str) -> bool:
    # A parameter never matches an empty segment, nor dots, which a guest may take for another folder.
    return declared == sent or (_is_parameter(declared) and sent not in {"", ".", ".."})


def schedulable(method: str, path: str) -> bool:
    """Whether a schedule can call an endpoint: GET or POST, no path parameters, and short enough to be named."""
    short = len(f"{method} {path}") <= MAX_SELECTOR
    return method in _SCHEDULABLE_METHODS and not set(":{}") & set(path) and short
