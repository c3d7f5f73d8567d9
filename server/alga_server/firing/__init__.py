"""Firing: due occurrences are claimed, run, retried and recorded."""

from __future__ import annotations
