"""One execution from admission to its error."""

from __future__ import annotations
