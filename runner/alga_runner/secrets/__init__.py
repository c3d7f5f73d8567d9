"""The install's secrets: opened when a guest asks for one, and kept for half a minute at most."""

from __future__ import annotations

from .connect import connect
from .opener import MAX_SECRETS_BYTES, ExecutionSecrets, SecretOpener
from .vault import Vault

__all__ = ["MAX_SECRETS_BYTES", "ExecutionSecrets", "SecretOpener", "Vault", "connect"]
