"""Servers that run next to the measured process: each is a program, and prints its address as its first line."""

from __future__ import annotations
