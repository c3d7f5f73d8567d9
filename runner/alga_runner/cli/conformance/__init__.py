"""``alga-runner conformance``."""

from __future__ import annotations
