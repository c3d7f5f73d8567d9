"""Compilation in a confined process, and the cache of compiled code."""

from __future__ import annotations
