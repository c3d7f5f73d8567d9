"""Signatures of bundles: who vouches for a content hash, and whom this runner trusts."""

from __future__ import annotations

from .keys import key_id, new_key, read_key, trust_line, write_key
from .signature import signature_document
from .source import SignedBundles
from .trust import TrustBundle, is_signer

__all__ = [
    "SignedBundles",
    "TrustBundle",
    "is_signer",
    "key_id",
    "new_key",
    "read_key",
    "signature_document",
    "trust_line",
    "write_key",
]
