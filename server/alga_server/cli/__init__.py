"""The command ``alga-server``. A command imports its modules when it runs, so that help is quick."""

from __future__ import annotations

from .main import main

__all__ = ["main"]
