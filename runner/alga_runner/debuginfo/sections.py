"""The sections of a module that say where its code came from."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field

from .cursor import Cursor, Unreadable

_MAX_SECTIONS = 1_000
"""A module has a dozen; more than that are not looked at."""

_CUSTOM = 0
_CODE = 10
_MAX_NAME_BYTES = 64
WANTED = frozenset({b".debug_line", b".debug_line_str", b".debug_str", b"sourceMappingURL"})


@dataclass(frozen=True, slots=True)
class Sections:
    """The wanted custom sections by name, and where the code section's content begins and ends in the module."""

    code_start: int = 0
    code_end: int = 0
    custom: dict[bytes, bytes] = field(default_factory=dict)


def debug_sections(wasm: bytes) -> Sections:
    """Those of ``wasm``; of a module that is cut off, those before the cut."""
    code_start = code_end = 0
    custom: dict[bytes, bytes] = {}
    for kind, start, end in _sections(wasm):
        if kind == _CODE:
            code_start, code_end = start, end
        elif kind == _CUSTOM:
            cursor = Cursor(wasm, start, end)
            try:
                name = cursor.take(min(cursor.uleb(), _MAX_NAME_BYTES))
            except Unreadable:
                continue
            if name in WANTED:
                custom.setdefault(name, wasm[cursor.position : end])
    return Sections(code_start, code_end, custom)


def has_section(wasm: bytes, names: frozenset[bytes]) -> bool:
    """Whether one of ``names`` is a custom section of ``wasm``."""
    for kind, start, end in _sections(wasm):
        if kind == _CUSTOM:
            cursor = Cursor(wasm, start, end)
            try:
                if cursor.take(min(cursor.uleb(), _MAX_NAME_BYTES)) in names:
                    return True
            except Unreadable:
                continue
    return False


def _sections(wasm: bytes) -> Iterator[tuple[int, int, int]]:
    """Number, start and end of each section's content."""
    cursor = Cursor(wasm, 8, len(wasm))
    try:
        for _ in range(_MAX_SECTIONS):
            if cursor.at_end:
                return
            kind = cursor.byte()
            length = cursor.uleb()
            start = cursor.position
            cursor.skip(length)
            yield kind, start, cursor.position
    except Unreadable:
        return
