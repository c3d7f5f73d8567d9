"""The demonstration: small steps on one stage, each of which checks what it shows."""

from __future__ import annotations

from .command import play

__all__ = ["play"]
