"""The install's secrets: opened when a guest asks for one, and kept for half a minute at most."""

from __future__ import annotations

from .connect import connect
from .opener import ExecutionSecrets, SecretOpener
from .vault import Vault

__all__ = ["ExecutionSecrets", "SecretOpener", "Vault", "connect"]
