"""Inconsistencies that a crash, a clock or a backup can leave, found and repaired."""

from __future__ import annotations
