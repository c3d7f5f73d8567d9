"""The features of WebAssembly that no guest may use, and how wasmtime's refusals name them (guest ABI, "WebAssembly").

All others that wasmtime has on by itself are allowed. One that is allowed stays so for as long as the version of the
ABI lasts; one that is refused may be allowed later.
"""

from __future__ import annotations

import re
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Feature:
    """A feature by its name in guest-abi/ABI.md. ``option`` is wasmtime's switch."""

    name: str
    option: str
    refusal: str
    """A regular expression for wasmtime's refusal of a module that uses it."""
    hint: str


REFUSED = (
    Feature(
        "threads, shared memory, atomics",
        "threads",
        r"threads (must be enabled|support is not enabled)",
        "Build without threads: no -pthread, no -matomics, no shared memory.",
    ),
    Feature(
        "memory64",
        "memory64",
        r"memory64 must be enabled",
        "Build for wasm32.",
    ),
    Feature(
        "multiple memories",
        "multi_memory",
        r"multiple memories",
        "Keep all data in the one memory that the module exports.",
    ),
    Feature(
        "custom page sizes",
        "custom_page_sizes",
        r"custom page sizes",
        "Leave the page size at 64 KiB.",
    ),
    Feature(
        "garbage collection",
        "gc",
        r"without the gc feature",
        "Build for a runtime that manages memory itself: output for WasmGC, such as of Kotlin and Dart, does not run.",
    ),
    Feature(
        "typed function references",
        "function_references",
        r"function references required",
        "Build without typed function references: call through a table.",
    ),
    Feature(
        "exceptions",
        "exceptions",
        r"exceptions proposal not enabled|legacy_exceptions feature required",
        "Build without WebAssembly exceptions: -fno-exceptions, and no setjmp of wasi-sdk or Emscripten.",
    ),
    Feature(
        "stack switching",
        "stack_switching",
        r"stack switching is disabled",
        "Build without stack switching; host calls already suspend the guest.",
    ),
    Feature(
        "relaxed SIMD",
        "relaxed_simd",
        r"relaxed SIMD support is not enabled",
        "Build without -mrelaxed-simd; plain SIMD is allowed.",
    ),
    Feature(
        "wide arithmetic",
        "wide_arithmetic",
        r"wide arithmetic support is not enabled",
        "Build without -mwide-arithmetic.",
    ),
)


def feature_of(reason: str) -> Feature | None:
    """The refused feature that wasmtime's ``reason`` to refuse a module is about; ``None`` for any other reason."""
    return next((feature for feature in REFUSED if re.search(feature.refusal, reason)), None)
