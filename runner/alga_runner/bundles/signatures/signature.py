"""The detached signature of a bundle: ed25519 over its content hash, in a JSON document next to the archive."""

from __future__ import annotations

import base64
import binascii
import json
from typing import NamedTuple

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from alga_common.bundle_layout import MAX_SIGNATURE_BYTES

from ...models import parse_content_hash
from .keys import ALGORITHM, key_id

_VERSION = 1
_MEMBERS = {"version": int, "algorithm": str, "contentHash": str, "keyId": str, "signature": str}


class Signature(NamedTuple):
    """A signature as it was read; nothing of it is verified."""

    content_hash: str
    key_id: str
    value: bytes


def signed_text(content_hash: str) -> bytes:
    """The bytes that a signature is made over. Their first line keeps it from being taken for one of another use."""
    return f"alga-bundle-signature-v1\n{content_hash}\n".encode("ascii")


def signature_document(key: Ed25519PrivateKey, content_hash: str) -> bytes:
    """The document that signs the bundle ``content_hash`` with ``key``."""
    document = {
        "version": _VERSION,
        "algorithm": ALGORITHM,
        "contentHash": content_hash,
        "keyId": key_id(key.public_key()),
        "signature": base64.b64encode(key.sign(signed_text(content_hash))).decode(),
    }
    return json.dumps(document, indent=2).encode() + b"\n"


def parse_signature(document: bytes) -> Signature:
    """Read ``document``. Raises ``ValueError``; the message completes "The signature ..."."""
    if len(document) > MAX_SIGNATURE_BYTES:
        raise ValueError(f"has more than {MAX_SIGNATURE_BYTES} bytes")
    try:
        members = json.loads(document)
    except (ValueError, RecursionError):
        raise ValueError("is not JSON") from None
    if not isinstance(members, dict) or {name: type(value) for name, value in members.items()} != _MEMBERS:
        raise ValueError(f"has other members than {', '.join(_MEMBERS)}")
    if members["version"] != _VERSION or members["algorithm"] != ALGORITHM:
        raise ValueError(f"is not of version {_VERSION} and {ALGORITHM}")
    try:
        value = base64.b64decode(members["signature"], validate=True)
        return Signature(parse_content_hash(members["contentHash"]), members["keyId"], value)
    except (binascii.Error, ValueError):
        raise ValueError("has a hash or a value that cannot be read") from None
