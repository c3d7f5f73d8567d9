"""``make bench``: what the runner costs, side by side with its peers (docs/performance.md explains how to read it)."""

from __future__ import annotations
