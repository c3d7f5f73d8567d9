"""Manifests and bundles of small extensions."""

from __future__ import annotations

import json
from typing import Any

from alga_runner.bundles import Bundle
from alga_runner.models.archive import pack

from .guests import compile_wat


def manifest(**members: Any) -> dict[str, Any]:
    """A valid manifest with these members."""
    return {"name": "com.example.test", "version": "1.0.0", "runtime": "wasm-wat@1", **members}


def manifest_api(*declared: str) -> dict[str, Any]:
    """A manifest's ``api`` for endpoints written ``"POST /sync"``."""
    return {
        "endpoints": [
            {"method": method, "path": path, "handler": "dist/main"}
            for method, path in (endpoint.split(" ") for endpoint in declared)
        ]
    }


def bundle_files(guest: str | bytes = b"\0asm", **members: Any) -> dict[str, bytes]:
    """The files of a bundle: its guest (WAT or wasm), and a manifest with these members."""
    return {
        "manifest.json": json.dumps(manifest(**members)).encode(),
        "dist/main.wasm": compile_wat(guest),
    }


def make_bundle(guest: str | bytes = b"\0asm", **members: Any) -> Bundle:
    """A bundle of ``bundle_files``."""
    return Bundle.from_files(bundle_files(guest, **members))


def make_archive(guest: str | bytes = b"\0asm", **members: Any) -> bytes:
    """The packed ``bundle_files``."""
    return pack(bundle_files(guest, **members))
