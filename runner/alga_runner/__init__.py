"""Run Alga extensions written in WebAssembly."""

from __future__ import annotations
