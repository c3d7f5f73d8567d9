"""Which debug information a module has, and how it is read."""

from __future__ import annotations

from collections.abc import Generator

from .dwarf import read_line_programs
from .sections import debug_sections, has_section
from .source_map import inline_map, read_source_map
from .table import LineTable

_DEBUG = frozenset({b".debug_line", b"sourceMappingURL"})


def has_debug_info(wasm: bytes) -> bool:
    """Whether ``wasm`` has line tables of its own or names a source map. Takes microseconds, whatever its size."""
    return has_section(wasm, _DEBUG)


def read_lines(wasm: bytes, source_map: bytes | None = None) -> Generator[None, None, LineTable]:
    """The lines of ``wasm``, from its DWARF or else from its source map, which may come beside it.

    A generator that reads for a few tenths of a millisecond at a time and returns the table. It raises nothing,
    whatever the bytes are: what cannot be read is left out.
    """
    sections = debug_sections(wasm)
    table = LineTable()
    if b".debug_line" in sections.custom:
        yield from read_line_programs(sections, table)
    elif text := inline_map(sections) or source_map:
        yield from read_source_map(text, sections, table)
    return table
