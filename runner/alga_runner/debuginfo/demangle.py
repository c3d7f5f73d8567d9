"""Function names as their authors wrote them.

C, AssemblyScript and Zig write those into the module, and the linker demangles C++'s. Rust's stay mangled, in one of
two schemes.
"""

from __future__ import annotations

import re

from . import rust_v0

_HASH = re.compile(r"::h[0-9a-f]{16}$")
_ESCAPES = {
    "$SP$": "@",
    "$BP$": "*",
    "$RF$": "&",
    "$LT$": "<",
    "$GT$": ">",
    "$LP$": "(",
    "$RP$": ")",
    "$C$": ",",
    "..": "::",
}
_ESCAPED = re.compile(r"\$(?:SP|BP|RF|LT|GT|LP|RP|C)\$|\$u[0-9a-f]{1,6}\$|\.\.")


def readable(name: str) -> str:
    """``name``, demangled if it is one of Rust's, without the hashes that tell crates and instances apart."""
    if name.startswith("_R"):
        return rust_v0.demangled(name) or name
    if name.startswith("_ZN") and (plain := _nested(name)) is not None:
        name = plain
    return _HASH.sub("", name)


def _nested(name: str) -> str | None:
    """``a::b`` of ``_ZN1a1bE``: each part follows its length. ``None`` for other forms, which C++ has."""
    parts, position = [], len("_ZN")
    while position < len(name) and name[position] != "E":
        end = position
        while end < len(name) and name[end].isdecimal() and name[end].isascii():
            end += 1
        length = int(name[position:end] or 0)
        position = end + length
        if length == 0 or position > len(name):
            return None
        parts.append(name[end:position])
    if (
        not name.endswith("E")
        or position != len(name) - 1
        or not _HASH.search("::" + parts[-1] if parts else "")
    ):
        return None
    return "::".join(_plain(part) for part in parts)


def _plain(part: str) -> str:
    """One part of a Rust path without its escapes: ``<impl$u20$Display>``."""
    if part.startswith("_$"):
        part = part[1:]
    return _ESCAPED.sub(_unescaped, part)


def _unescaped(match: re.Match[str]) -> str:
    escape = match[0]
    if escape in _ESCAPES:
        return _ESCAPES[escape]
    code = int(escape[2:-1], 16)
    return character if code <= 0x10FFFF and (character := chr(code)).isprintable() else escape
