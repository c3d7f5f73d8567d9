"""Where in its source a guest was: line tables of debug information, read lazily and without trust.

wasmtime can do this by itself while it makes a trap, but not for hostile modules: a module of 60 KB, made for it, held
its thread for four seconds and took half a gigabyte. So that is off, and it is read here, after a guest has ended, in
steps that the caller spreads over the turns of its loop. The work grows with the bytes read and with nothing else, and
the bytes are bounded.
"""

from __future__ import annotations

from .lines import has_debug_info, read_lines
from .table import LineTable

__all__ = ["LineTable", "has_debug_info", "read_lines"]
