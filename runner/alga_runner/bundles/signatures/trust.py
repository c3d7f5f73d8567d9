"""The trust bundle: a text file of the public keys whose signatures count, each with the name of its signer."""

from __future__ import annotations

import base64
import binascii
from collections.abc import Mapping
from pathlib import Path
from typing import NamedTuple, Self

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey

from ...errors import BundleSignatureInvalid, SettingsError
from .keys import ALGORITHM, key_id
from .signature import parse_signature, signed_text

MAX_NAME_CHARACTERS = 128
_MAX_CHARACTERS = 1024 * 1024
_FORM = f"A line is `{ALGORITHM} KEY NAME`, as `alga-runner keygen` prints it; # starts a comment."


class TrustedKey(NamedTuple):
    """A public key, and who signs with it."""

    public: Ed25519PublicKey
    name: str


class TrustBundle:
    """The keys whose signatures count, by their ids."""

    def __init__(self, keys: Mapping[str, TrustedKey]) -> None:
        self._keys = dict(keys)

    def __len__(self) -> int:
        return len(self._keys)

    @classmethod
    def parse(cls, text: str) -> Self:
        """Read the lines ``ed25519 KEY NAME``. Raises ``ValueError``; the message is the end of a sentence."""
        if len(text) > _MAX_CHARACTERS:
            raise ValueError(f"it has more than {_MAX_CHARACTERS} characters")
        keys: dict[str, TrustedKey] = {}
        for number, line in enumerate(text.splitlines(), start=1):
            if not line.strip() or line.lstrip().startswith("#"):
                continue
            algorithm, _, rest = line.strip().partition(" ")
            encoded, _, name = rest.strip().partition(" ")
            try:
                public = Ed25519PublicKey.from_public_bytes(base64.b64decode(encoded, validate=True))
            except (binascii.Error, ValueError):
                raise ValueError(f"line {number} has no public key of 32 bytes in base64") from None
            name = name.strip()
            if algorithm != ALGORITHM or not is_signer(name):
                raise ValueError(f"line {number} is not a key of {ALGORITHM} with a name")
            if key_id(public) in keys:
                raise ValueError(f"line {number} has a key that an earlier line has")
            keys[key_id(public)] = TrustedKey(public, name)
        if not keys:
            raise ValueError("it has no key")
        return cls(keys)

    @classmethod
    def load(cls, path: Path, shown: str) -> Self:
        """Read the file ``path``, which errors call ``shown``. Raises ``SettingsError``."""
        try:
            with path.open("rb") as file:
                data = file.read(4 * _MAX_CHARACTERS + 1)
            return cls.parse(data.decode())
        except OSError as error:
            reason = str(error.strerror)
        except UnicodeDecodeError:
            reason = "it is not UTF-8"
        except ValueError as fault:
            reason = str(fault)
        raise SettingsError(f"The trust bundle {shown} cannot be used: {reason}.", hint=_FORM)

    def signer(self, content_hash: str, document: bytes) -> str:
        """Who signed the bundle ``content_hash`` by ``document``. Raises ``BundleSignatureInvalid``."""
        try:
            signature = parse_signature(document)
        except ValueError as fault:
            raise BundleSignatureInvalid(f"The signature of the bundle {content_hash} {fault}.") from None
        if signature.content_hash != content_hash:
            raise BundleSignatureInvalid(
                f"The signature next to the bundle {content_hash} is of {signature.content_hash}.",
                hint="Sign the archive again, after it was packed for the last time.",
            )
        key = self._keys.get(signature.key_id)
        if key is None:
            raise BundleSignatureInvalid(
                f"The bundle {content_hash} is signed with the key {signature.key_id[:64]!r}, which is not trusted.",
                hint="Have a trusted signer sign it, or add the signer's line to the trust bundle.",
            )
        try:
            key.public.verify(signature.value, signed_text(content_hash))
        except InvalidSignature:
            raise BundleSignatureInvalid(
                f"The signature of the bundle {content_hash} is not one of {key.name}, whose key it names.",
                hint="Do not run it; find out who changed the signature.",
            ) from None
        return key.name


def is_signer(name: str) -> bool:
    """Whether ``name`` can name a signer: 1 to 128 printable characters, no space at an end."""
    return 0 < len(name) <= MAX_NAME_CHARACTERS and name.isprintable() and name == name.strip()
