"""Opens the envelope of an execution when its guest asks for a secret (alga-contract 1.6).

An envelope that cannot be opened is an answer to that guest, and nothing to one that reads no secret. An expired one
and one of an unknown algorithm are refused (alga-contract 7, fault 8).
"""

from __future__ import annotations

import base64
from collections.abc import Callable, Mapping
from datetime import UTC, datetime, timedelta
from hashlib import sha256

from pydantic_core import from_json

from alga_common.text import cut, escape_controls
from alga_common.time import parse_instant

from ..errors import HostCallCode, HostCallError
from ..models import ExecutionContext, SecretEnvelope
from .cache import MAX_AGE_S, SecretCache
from .refusal import refuse
from .vault import Vault

MAX_SECRETS_BYTES = 1024 * 1024
"""Bytes of the secrets of an envelope, as JSON."""

_MAX_CIPHERTEXT = 2 * MAX_SECRETS_BYTES
"""Characters of an envelope's ciphertext; base64 takes a third more."""

_MIN_HIDDEN = 4
"""A secret this long is hidden inside other text, too."""

_MAX_HIDDEN = 100
"""Secrets of one execution that are hidden in what it shows: the first ones that it read."""

HIDDEN = "(secret)"


class SecretOpener:
    """Opens envelopes: inline ones itself, others by ``vault``, if there is one. ``now`` is the runner's clock."""

    def __init__(self, vault: Vault | None = None, *, now: Callable[[], datetime] | None = None) -> None:
        self.vault = vault
        self._now = now or (lambda: datetime.now(UTC))
        self._cache = SecretCache()

    async def open(
        self, envelope: SecretEnvelope, context: ExecutionContext, deadline: float
    ) -> Mapping[str, str]:
        """The secrets by name; none for a blank ciphertext. Raises ``HostCallError``."""
        ciphertext = envelope.ciphertext_b64.strip()
        if not ciphertext:
            return {}
        if len(ciphertext) > _MAX_CIPHERTEXT:
            refuse(f"it has more than {_MAX_CIPHERTEXT} characters")
        left_s = self._left_s(envelope)
        algorithm = (envelope.algorithm or "inline").strip().lower()
        if algorithm.startswith("vault-transit"):
            return await self._open_by_vault(envelope, ciphertext, context, deadline, left_s)
        if algorithm.partition("/")[0] != "inline":
            refuse(f"its algorithm {escape_controls(cut(algorithm, 40))!r} is not known")
        try:
            plaintext = base64.b64decode(ciphertext, validate=True)
        except ValueError:
            refuse("it is not base64")
        return _parsed(plaintext)

    async def aclose(self) -> None:
        """Drop the opened envelopes, and close the connections."""
        self._cache.clear()
        if self.vault is not None:
            await self.vault.aclose()

    async def _open_by_vault(
        self,
        envelope: SecretEnvelope,
        ciphertext: str,
        context: ExecutionContext,
        deadline: float,
        left_s: float,
    ) -> Mapping[str, str]:
        if self.vault is None:
            refuse("Vault sealed it, and VAULT_ADDR is not set")
        if not envelope.key_path:
            refuse("Vault sealed it, and it has no key_path")
        owner = (context.tenant_id, context.extension_id, context.install_id or "", context.version_id or "")
        place = (envelope.mount or "", envelope.key_path, ciphertext)
        key = sha256("\0".join((*owner, *place)).encode()).digest()
        secrets = self._cache.get(key)
        if secrets is None:
            plaintext = await self.vault.decrypt(
                ciphertext, envelope.key_path, envelope.mount, context.tenant_id, deadline
            )
            secrets = _parsed(plaintext)
            self._cache.put(key, context.tenant_id, secrets, left_s)
        return secrets

    def _left_s(self, envelope: SecretEnvelope) -> float:
        """Seconds until the envelope expires. Raises ``HostCallError`` if it has."""
        if envelope.expires_at is None:
            return MAX_AGE_S
        try:
            left = parse_instant(envelope.expires_at) - self._now()
        except ValueError:
            refuse("its expires_at is not a time")
        if left <= timedelta(0):
            raise HostCallError(HostCallCode.EXPIRED, "The execution's secrets have expired.")
        return left.total_seconds()


class ExecutionSecrets:
    """The secrets of one execution; its envelope is opened when one is asked for, once."""

    __slots__ = ("_envelope", "_opened", "_opener", "_read")

    def __init__(self, opener: SecretOpener | None = None, envelope: SecretEnvelope | None = None) -> None:
        self._opener = opener or SecretOpener()
        self._envelope = envelope
        self._opened: Mapping[str, str] | None = None
        self._read: tuple[str, ...] = ()

    def __repr__(self) -> str:
        return f"<ExecutionSecrets {'opened' if self._opened is not None else 'sealed'}>"

    async def all(self, context: ExecutionContext, deadline: float) -> Mapping[str, str]:
        """The secrets by name. Raises ``HostCallError``."""
        if self._opened is None:
            if self._envelope is None:
                self._opened = {}
            else:
                self._opened = await self._opener.open(self._envelope, context, deadline)
        return self._opened

    async def read(self, key: str, context: ExecutionContext, deadline: float) -> str | None:
        """The secret ``key`` for the guest, which may show it anywhere from now on. Raises ``HostCallError``."""
        secret = (await self.all(context, deadline)).get(key)
        if secret and len(self._read) < _MAX_HIDDEN and secret not in self._read:
            self._read += (secret,)
        return secret

    def hide(self, value: object) -> object:
        """``value``, for a record of the execution, with ``HIDDEN`` in place of every secret that the guest read."""
        return _hidden(value, sorted(self._read, key=len, reverse=True)) if self._read else value

    def hide_text(self, text: str) -> str:
        """The same for text."""
        return str(self.hide(text)) if self._read else text


def _hidden(value: object, secrets: list[str]) -> object:
    if isinstance(value, str):
        for secret in secrets:
            if secret == value or len(secret) >= _MIN_HIDDEN:
                value = value.replace(secret, HIDDEN)
        return value
    if isinstance(value, bytes):
        for secret in secrets:
            encoded = secret.encode("utf-8", "replace")
            if encoded == value or len(secret) >= _MIN_HIDDEN:
                value = value.replace(encoded, HIDDEN.encode())
        return value
    if isinstance(value, Mapping):
        return {_hidden(name, secrets): _hidden(member, secrets) for name, member in value.items()}
    if isinstance(value, list | tuple):
        return [_hidden(item, secrets) for item in value]
    return value


def _parsed(plaintext: bytes) -> Mapping[str, str]:
    """A JSON object of strings. Errors name the fault and never the content."""
    if len(plaintext) > MAX_SECRETS_BYTES:
        refuse(f"it holds more than {MAX_SECRETS_BYTES} bytes")
    try:
        document = from_json(plaintext, allow_inf_nan=False)
    except ValueError:
        refuse("it does not hold JSON")
    if not isinstance(document, dict) or not all(isinstance(value, str) for value in document.values()):
        refuse("it does not hold a JSON object of strings")
    return document
