"""Bundles: read them from a folder or an archive, fetch them from a store, verified.

Stores over HTTP, and the choice of a store by the settings, are in ``bundles.stores``.
"""

from __future__ import annotations

from .bundle import Bundle
from .folder import FolderBundles
from .read import read_bundle
from .source import BundleSource, HeldBundles, MemoryBundles

__all__ = [
    "Bundle",
    "BundleSource",
    "FolderBundles",
    "HeldBundles",
    "MemoryBundles",
    "read_bundle",
]
