"""The parts of the benchmark, in the order in which they run."""

from __future__ import annotations

from ..part import Part
from . import execute, hostcall, hostcall_http, suspended

PARTS: tuple[Part, ...] = (execute.PART, hostcall.PART, hostcall_http.PART, suspended.PART)
