"""Checks before an engine is used: the interpreter, the machine's capacity, wasmtime itself."""

from __future__ import annotations
