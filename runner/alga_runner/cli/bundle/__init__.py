"""``alga-runner pack``, ``keygen``, ``sign`` and ``verify``."""

from __future__ import annotations
