"""What the machine gives a process: memory, and files that it may open."""

from __future__ import annotations
