"""How much of something an owner, or anyone, gets in a time."""

from __future__ import annotations
