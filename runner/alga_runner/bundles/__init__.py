"""Bundles: read them from a folder or an archive, fetch them from a store, verified."""

from __future__ import annotations

from .bundle import Bundle
from .read import read_bundle
from .source import BundleSource, FolderBundles, HeldBundles, MemoryBundles, bundle_source

__all__ = [
    "Bundle",
    "BundleSource",
    "FolderBundles",
    "HeldBundles",
    "MemoryBundles",
    "bundle_source",
    "read_bundle",
]
