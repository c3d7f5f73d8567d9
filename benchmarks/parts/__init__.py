"""The parts of the benchmark, in the order in which they run."""

from __future__ import annotations

from ..part import Part
from . import execute, hostcall

PARTS: tuple[Part, ...] = (execute.PART, hostcall.PART)
