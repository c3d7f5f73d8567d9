"""Find the endpoint for a path: segments match literally, ``:name`` and ``{name}`` match any one segment
(alga-contract 1.9)."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from itertools import compress
from operator import not_
from typing import Generic, Protocol, TypeVar
from urllib.parse import quote, unquote_to_bytes

from .wire import MAX_SELECTOR

_SCHEDULABLE_METHODS = frozenset({"GET", "POST"})
_PARAMETER = re.compile(r":.+|\{.+\}", re.DOTALL)
_PLAIN_IN_QUERY = "!\"$%&'()*+,-./:;<=>?@[\\]^_`{|}~"
"""Every visible character of ASCII that is no letter or digit, but ``#``, which would begin a fragment."""

_PLAIN_IN_SEGMENT = "-._~!$&'()*+,;=:@"

_UNFIT = frozenset({"", ".", ".."})
"""Segments that no parameter matches: a guest may take dots for another folder."""


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
_Known = dict[tuple[str, ...], dict[str, EndpointT]]
"""Endpoints of one form, by their literal segments and their method."""


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


class Routes(Generic[EndpointT]):
    """Finds the endpoint of a path among those of one version, in a time that does not grow with their number.

    Paths with literal segments at the same places are of one form, and a path is looked up once for each form.
    """

    def __init__(self, endpoints: Iterable[EndpointT]) -> None:
        forms: dict[tuple[bool, ...], _Known[EndpointT]] = {}
        for endpoint in endpoints:
            segments = endpoint.path.removeprefix("/").split("/")
            form = tuple(_PARAMETER.fullmatch(segment) is not None for segment in segments)
            literal = tuple(compress(segments, map(not_, form)))
            forms.setdefault(form, {}).setdefault(literal, {}).setdefault(endpoint.method, endpoint)
        self._forms: dict[int, list[tuple[tuple[bool, ...], _Known[EndpointT]]]] = {}
        for form in sorted(forms):  # a literal segment goes before a parameter
            self._forms.setdefault(len(form), []).append((form, forms[form]))

    def matching(self, segments: Sequence[str]) -> dict[str, EndpointT]:
        """Return the endpoints that match ``segments``, by method. A literal segment wins over a parameter."""
        by_method: dict[str, EndpointT] = {}
        for form, known in self._forms.get(len(segments), ()):
            endpoints = known.get(tuple(compress(segments, map(not_, form))))
            if endpoints is not None and _UNFIT.isdisjoint(compress(segments, form)):
                by_method = endpoints | by_method
        return by_method


def schedulable(method: str, path: str) -> bool:
    """Whether a schedule can call an endpoint: GET or POST, no path parameters, and short enough to be named."""
    short = len(f"{method} {path}") <= MAX_SELECTOR
    return method in _SCHEDULABLE_METHODS and not set(":{}") & set(path) and short
