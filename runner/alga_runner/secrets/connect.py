"""The opener of secrets that the settings describe."""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime
from pathlib import Path

from alga_common.environment import EnvironmentFault
from alga_common.http.exchange import base_url
from alga_common.http.tls import tls_for

from ..errors import SettingsError
from ..settings import Settings
from .opener import SecretOpener
from .vault import Vault


def connect(settings: Settings, now: Callable[[], datetime] | None = None) -> SecretOpener:
    """What opens envelopes: with ``vault_url`` those that Vault sealed, too. Raises ``SettingsError``."""
    if settings.vault_url is None:
        return SecretOpener(now=now)
    try:
        url = base_url(settings.vault_url)
        tls_for(url)
    except EnvironmentFault as fault:
        raise SettingsError.of(fault) from None
    except ValueError as error:
        raise SettingsError(
            f"The setting {Settings.named('vault_url')} {error}.",
            hint="It is like https://vault.example:8200.",
        ) from None
    vault = Vault(
        url,
        token_file=Path(settings.vault_token_file),
        namespace=settings.vault_namespace,
        mount=settings.vault_transit_mount,
    )
    return SecretOpener(vault, now=now)
