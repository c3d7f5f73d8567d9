"""The Alga server as the runner sees it: one port, its HTTP client, its dialects."""

from __future__ import annotations

from .port import AlgaServer, Identity

__all__ = ["AlgaServer", "Identity"]
