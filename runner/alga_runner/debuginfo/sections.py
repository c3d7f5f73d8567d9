"""The sections of a module that hold its debug information."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field

from .cursor import Cursor, Unreadable

_MAX_SECTIONS = 1_000
"""A module has a dozen; the rest is not read."""

_CUSTOM = 0
_IMPORTS, _EXPORTS, _CODE = 2, 7, 10
_CORE_MODULE, _COMPONENT = 1, 4
"""Sections of a component that have a module, or a component."""
_MAX_DEPTH = 8
_MOST_SECTIONS = 10_000
_MAX_NAME_BYTES = 64
_LINES = frozenset({b".debug_line", b"sourceMappingURL"})
_READ = _LINES | {b".debug_line_str", b".debug_str"}


@dataclass(slots=True)
class Sections:
    """The custom sections with debug information by name, and where the code section's content begins and ends."""

    code_start: int = 0
    code_end: int = 0
    custom: dict[bytes, bytes] = field(default_factory=dict)


def has_debug_info(wasm: bytes) -> bool:
    """Whether ``wasm`` has DWARF line programs or names a source map. Takes microseconds for any size."""
    return any(name in _LINES for name, _, _ in _sections(wasm))


def debug_sections(wasm: bytes) -> Sections:
    """The sections of ``wasm``; of a module that is cut off, those before the cut."""
    sections = Sections()
    for name, start, end in _sections(wasm):
        if name in _READ:
            sections.custom.setdefault(name, wasm[start:end])
        elif not name:
            sections.code_start, sections.code_end = start, end
    return sections


def name_bytes(wasm: bytes) -> int:
    """Bytes of the import and export sections of a module, or of all modules in a component: of the names in them.

    Takes milliseconds at most. The rest after ``_MOST_SECTIONS``, and components nested deeper than toolchains do,
    count whole. A file that is cut off has none: the compiler refuses it.
    """
    try:
        return _name_bytes(Cursor(wasm, 0, len(wasm)), _MAX_DEPTH)
    except Unreadable:
        return 0


def _name_bytes(cursor: Cursor, depth: int) -> int:
    is_component = cursor.take(8)[6:7] == b"\1"
    total = 0
    for _ in range(_MOST_SECTIONS):
        if cursor.at_end:
            return total
        kind, length = cursor.byte(), cursor.uleb()
        start = cursor.position
        cursor.skip(length)
        if is_component and kind in {_CORE_MODULE, _COMPONENT}:
            inner = Cursor(cursor.data, start, cursor.position)
            total += _name_bytes(inner, depth - 1) if depth else length
        elif not is_component and kind in {_IMPORTS, _EXPORTS}:
            total += length
    return total + cursor.end - cursor.position


def _sections(wasm: bytes) -> Iterator[tuple[bytes, int, int]]:
    """Name, start and end of each custom section's content, and of the code section's, which has no name."""
    cursor = Cursor(wasm, 8, len(wasm))
    try:
        for _ in range(_MAX_SECTIONS):
            if cursor.at_end:
                return
            kind = cursor.byte()
            length = cursor.uleb()
            start = cursor.position
            cursor.skip(length)
            if kind == _CODE:
                yield b"", start, cursor.position
            elif kind == _CUSTOM:
                content = Cursor(wasm, start, cursor.position)
                name = content.take(min(content.uleb(), _MAX_NAME_BYTES))
                if name:
                    yield name, content.position, cursor.position
    except Unreadable:
        return
