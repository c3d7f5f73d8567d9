"""The command ``alga-server``. What a command needs is imported when it runs, so that help is quick."""

from __future__ import annotations

from .main import main

__all__ = ["main"]
