"""Keys of ed25519: a private one in a file of its own, a public one as a line of a trust bundle."""

from __future__ import annotations

import base64
import hashlib
import os
from pathlib import Path

from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    NoEncryption,
    PrivateFormat,
    load_pem_private_key,
)

from alga_common.private_files import create_private

from ...errors import SigningKeyUnusable

ALGORITHM = "ed25519"
_MAX_KEY_BYTES = 64 * 1024
_KEY_ID_DIGITS = 32


def new_key() -> Ed25519PrivateKey:
    """A new private key."""
    return Ed25519PrivateKey.generate()


def key_id(public: Ed25519PublicKey) -> str:
    """What names a key in signatures: the start of its hash."""
    return hashlib.sha256(public.public_bytes_raw()).hexdigest()[:_KEY_ID_DIGITS]


def trust_line(public: Ed25519PublicKey, name: str) -> str:
    """The line of a trust bundle by which bundles signed with the key are those of ``name``."""
    return f"{ALGORITHM} {base64.b64encode(public.public_bytes_raw()).decode()} {name}"


def write_key(path: Path, key: Ed25519PrivateKey) -> None:
    """Write ``key`` to the new file ``path``, for its owner alone. Raises ``SigningKeyUnusable``."""
    pem = key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
    try:
        if not create_private(path):
            raise SigningKeyUnusable(
                f"There is a file at {path} already.",
                hint="Choose another name; a lost key cannot be made again.",
            )
        with path.open("wb") as file:
            file.write(pem)
            file.flush()
            os.fsync(file.fileno())
    except OSError as error:
        raise SigningKeyUnusable(f"The key cannot be written to {path}: {error.strerror}.") from None


def read_key(path: Path) -> Ed25519PrivateKey:
    """The private key in the PEM file ``path``. Raises ``SigningKeyUnusable``."""
    try:
        with path.open("rb") as file:
            key = load_pem_private_key(file.read(_MAX_KEY_BYTES), password=None)
    except OSError as error:
        raise SigningKeyUnusable(f"The key {path} cannot be read: {error.strerror}.") from None
    except (TypeError, ValueError, UnsupportedAlgorithm):  # their texts may quote the file
        raise SigningKeyUnusable(
            f"The file {path} holds no private key in PEM format without a password."
        ) from None
    if not isinstance(key, Ed25519PrivateKey):
        raise SigningKeyUnusable(f"The key {path} is of another kind than {ALGORITHM}.")
    return key
