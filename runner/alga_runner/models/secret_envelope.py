"""Sealed secrets of one execution (alga-contract 1.6)."""

from __future__ import annotations

from pydantic import Field

from ._base import WireModel


class SecretEnvelope(WireModel):
    """Secrets as the server sends them, never logged. ``expires_at`` is an RFC 3339 time.

    It is opened when a guest asks for a secret (``secrets.SecretOpener``).
    """

    ciphertext_b64: str = Field(repr=False)
    version: str | None = None
    algorithm: str | None = None
    expires_at: str | None = None
    key_path: str | None = None
    mount: str | None = None
