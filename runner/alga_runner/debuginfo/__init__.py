"""Debug information: which line of source a guest was at, read from its module's DWARF or its source map.

``read_lines`` runs inside a confined job of the compiler's process, never in the runner's own: the kernel bounds what
hostile debug information may take. The runner keeps the ``LineTable`` that the job returns.
"""

from __future__ import annotations

from .dwarf import read_line_programs
from .sections import debug_sections, has_debug_info, name_bytes
from .source_map import inline_map, read_source_map
from .table import MAX_TABLE_BYTES, LineRows, LineTable

__all__ = ["MAX_TABLE_BYTES", "LineTable", "has_debug_info", "name_bytes", "read_lines"]


def read_lines(wasm: bytes, source_map: bytes = b"") -> bytes:
    """The content of a ``LineTable`` for ``wasm``, from its DWARF or else from its source map.

    The map is the one inside the module, or else ``source_map``, the file next to it. What cannot be read is left out.
    Time and memory are the caller's to bound.
    """
    sections = debug_sections(wasm)
    rows = LineRows()
    if b".debug_line" in sections.custom:
        read_line_programs(sections, rows)
    elif text := inline_map(sections) or source_map:
        read_source_map(text, sections, rows)
    return rows.packed()
