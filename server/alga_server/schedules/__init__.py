"""Schedules and the rules that a change to one has to keep."""

from __future__ import annotations
