"""Stores over HTTP, and the choice of a store by the settings."""

from __future__ import annotations

from .archive_cache import ArchiveCache
from .configured import bundle_source
from .http_store import HttpStore
from .presign import S3Credentials, presigned
from .remote import RemoteBundles

__all__ = ["ArchiveCache", "HttpStore", "RemoteBundles", "S3Credentials", "bundle_source", "presigned"]
