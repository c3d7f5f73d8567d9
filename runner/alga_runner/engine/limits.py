"""What wasmtime itself bounds in one guest."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class GuestLimits:
    """``memory_bytes`` is all its linear memory, ``table_elements`` what its table may hold."""

    memory_bytes: int
    table_elements: int
