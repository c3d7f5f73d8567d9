"""``alga-runner precompile``."""

from __future__ import annotations
