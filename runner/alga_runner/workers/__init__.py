"""Several worker processes behind one port, started and replaced by a supervisor."""

from __future__ import annotations

from .resources import usable_cores
from .supervisor import serve_workers

__all__ = ["serve_workers", "usable_cores"]
