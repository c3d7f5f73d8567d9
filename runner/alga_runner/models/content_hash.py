"""Content hashes: the SHA-256 of a bundle's archive bytes, as ``sha256:<hex>`` (alga-contract 3)."""

from __future__ import annotations

import hashlib
import re

_HEX = re.compile(r"[0-9a-f]{64}")


def content_hash(data: bytes) -> str:
    """The content hash of ``data``, with its ``sha256:`` prefix."""
    return "sha256:" + hashlib.sha256(data).hexdigest()


def parse_content_hash(text: str) -> str:
    """``text`` (``sha256:<hex>`` or bare hex, any case) as ``sha256:<hex>``; ``ValueError`` if it is neither."""
    bare = text.strip().lower().removeprefix("sha256:")
    if not _HEX.fullmatch(bare):
        raise ValueError("a content hash is sha256: and 64 hexadecimal digits")
    return "sha256:" + bare
