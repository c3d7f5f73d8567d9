"""What both command lines are built from."""

from __future__ import annotations
