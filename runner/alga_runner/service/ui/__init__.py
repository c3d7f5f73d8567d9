"""The pages of extensions: ``GET /ext-ui/...`` and ``GET /`` (alga-contract 2)."""

from __future__ import annotations

from .routes import Ui

__all__ = ["Ui"]
