"""Sealed secrets of one execution (alga-contract 1.6)."""

from __future__ import annotations

import base64
import binascii
from datetime import datetime

from pydantic import Field
from pydantic_core import from_json

from alga_common.time import parse_instant

from ..errors import SecretDecryptFailed
from ._base import WireModel


class SecretEnvelope(WireModel):
    """Secrets as the server sends them, never logged. ``expires_at`` is an RFC 3339 time."""

    ciphertext_b64: str = Field(repr=False)
    version: str | None = None
    algorithm: str | None = None
    expires_at: str | None = None
    key_path: str | None = None
    mount: str | None = None

    def open(self, now: datetime) -> dict[str, str]:
        """The secrets by name; none for a blank ciphertext.

        Raises ``SecretDecryptFailed`` when the envelope has expired at ``now`` or its algorithm is not ``inline``
        (alga-contract 7, fault 8: an expired envelope was opened, an unknown algorithm taken for ``inline``).
        """
        if not self.ciphertext_b64.strip():
            return {}
        self._require_valid(now)
        algorithm = (self.algorithm or "inline").strip().lower()
        if algorithm.startswith("vault-transit"):
            raise SecretDecryptFailed(
                "The secret envelope is sealed by Vault, which this runner is not configured for."
            )
        if algorithm.partition("/")[0] != "inline":
            raise SecretDecryptFailed(
                "The secret envelope names an algorithm that this runner does not know."
            )
        return _inline(self.ciphertext_b64)

    def _require_valid(self, now: datetime) -> None:
        if self.expires_at is None:
            return
        try:
            expires = parse_instant(self.expires_at)
        except ValueError:
            raise SecretDecryptFailed("The secret envelope's expires_at is not a time.") from None
        if expires <= now:
            raise SecretDecryptFailed("The secret envelope has expired.", hint="Ask again with a new one.")


def _inline(ciphertext: str) -> dict[str, str]:
    """Base64 of a JSON object of strings. Errors name the fault and never the content."""
    try:
        document = from_json(base64.b64decode(ciphertext.strip(), validate=True), allow_inf_nan=False)
    except (binascii.Error, ValueError):
        raise SecretDecryptFailed("The secret envelope does not hold JSON in base64.") from None
    if not isinstance(document, dict) or not all(isinstance(value, str) for value in document.values()):
        raise SecretDecryptFailed("The secret envelope does not hold a JSON object of strings.")
    return document
