"""``alga-runner invoke``."""

from __future__ import annotations
