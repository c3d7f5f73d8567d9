"""Where a guest may redirect its caller: to paths of its own extension, and nowhere else."""

from __future__ import annotations

import re
from collections.abc import Sequence

_REFERENCE = re.compile(r"(?P<path>[A-Za-z0-9\-._~!$&'()*+,;=:@%/]*)(?:\?[!-\[\]-~]*)?(?:#[!-\[\]-~]*)?")
"""A relative reference (RFC 3986, 4.2). No backslash or white space: browsers read them as a slash, or not at all."""

_MAX_CHARACTERS = 2048


def is_own(location: str, asked: str, root: str) -> bool:
    """Whether ``location``, answered to a call of the path ``asked``, leads to a path below ``root``.

    ``root`` is the extension's own part of the gateway's paths, without a slash at its end: ``/api/ext/{id}``. Paths
    are percent-encoded, and compared as they are written.
    """
    reference = _REFERENCE.fullmatch(location) if location and len(location) <= _MAX_CHARACTERS else None
    if reference is None:
        return False
    path = reference["path"]
    if path.startswith("//") or ":" in path.partition("/")[0]:
        return False  # it names another host, or a scheme
    base = asked.split("/")
    segments = (
        base if not path else path.split("/") if path.startswith("/") else [*base[:-1], *path.split("/")]
    )
    resolved = _resolved(segments)
    own = root.split("/")
    return resolved[: len(own)] == own and len(resolved) > len(own)


def _resolved(segments: Sequence[str]) -> list[str]:
    """``segments`` of a path without its dots, as a browser takes them away: ``%2e`` is a dot to it."""
    kept: list[str] = []
    for segment in segments:
        dots = segment.lower().replace("%2e", ".")
        if dots == "..":
            del kept[max(1, len(kept) - 1) :]  # the root stays
        elif dots != ".":
            kept.append(segment)
    if segments and segments[-1].lower().replace("%2e", ".") in {".", ".."}:
        kept.append("")
    return kept
