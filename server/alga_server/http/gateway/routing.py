"""From a request's path to the endpoint that answers: method and segments, ``:name`` or ``{name}`` for any one segment
(alga-contract 1.9)."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from urllib.parse import quote, unquote_to_bytes

from ...schedules.endpoint_ref import EndpointT

_PARAMETER = re.compile(r":.+|\{.+\}", re.DOTALL)
_PLAIN_IN_SEGMENT = "-._~!$&'()*+,;=:@"


def split_path(raw: bytes) -> tuple[str, ...] | None:
    """The decoded segments of a path in percent-encoding, without its leading slash; ``None`` if they are not UTF-8.

    Decoded one by one: an encoded slash is part of its segment, and divides nothing.
    """
    try:
        return tuple(unquote_to_bytes(part).decode() for part in raw.split(b"/"))
    except UnicodeDecodeError:
        return None


def join_path(segments: Iterable[str]) -> str:
    """The path of ``segments``, with a leading slash, in its one percent-encoded form."""
    return "/" + "/".join(quote(segment, safe=_PLAIN_IN_SEGMENT) for segment in segments)


def matching(endpoints: Iterable[EndpointT], segments: Sequence[str]) -> dict[str, EndpointT]:
    """The endpoints whose path is ``segments``, by method. A segment spelled out goes before a parameter."""
    found: dict[str, EndpointT] = {}
    for endpoint in sorted(endpoints, key=lambda each: [_is_parameter(part) for part in _own(each.path)]):
        own = _own(endpoint.path)
        if len(own) == len(segments) and all(map(_answers, own, segments)):
            found.setdefault(endpoint.method, endpoint)
    return found


def _own(path: str) -> list[str]:
    return path.removeprefix("/").split("/")


def _is_parameter(segment: str) -> bool:
    return _PARAMETER.fullmatch(segment) is not None


def _answers(own: str, asked: str) -> bool:
    # A parameter is a name of something, and never a way around: no empty segment, no dots that climb.
    return own == asked or (_is_parameter(own) and asked not in {"", ".", ".."})
