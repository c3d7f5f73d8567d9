"""Requests of an install's users, forwarded to a runner."""

from __future__ import annotations
