"""The typed documents and host calls of the SDKs, from ``guest-abi/schema``: ``make docs`` writes, a test compares."""

from __future__ import annotations

from pathlib import Path

from . import assemblyscript, c, go, rust
from .schema import Schema

GUEST_ABI = Path(__file__).parents[1]


def generated() -> dict[Path, str]:
    """By path each generated file of the SDKs."""
    schema = Schema.read(GUEST_ABI / "schema")
    made = go.files(schema) | assemblyscript.files(schema) | rust.files(schema) | c.files(schema, GUEST_ABI)
    return {GUEST_ABI / name: text for name, text in made.items()}
