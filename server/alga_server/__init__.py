"""The reference Alga server."""

from __future__ import annotations
