"""Servers that run beside what is measured: each is a program, and its first line on stdout says where it listens."""

from __future__ import annotations
