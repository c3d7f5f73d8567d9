"""The engine's native helper: a guest's way from its store to its end in two calls of C, where it was built."""

from __future__ import annotations
