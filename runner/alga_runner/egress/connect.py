"""The egress that the settings describe."""

from __future__ import annotations

from collections.abc import Callable
from typing import TypeVar

from alga_common.environment import EnvironmentFault
from alga_common.http.tls import tls_context

from ..errors import SettingsError
from ..settings import Settings
from .addresses import AddressRules, parse_networks
from .client import Egress, EgressLimits
from .rules import parse_allowlist, parse_rules

T = TypeVar("T")


def connect(settings: Settings) -> Egress:
    """The way out that ``settings`` allow; without rules, none. Raises ``SettingsError``; nothing is sent."""
    rules = [
        *_parsed("egress_allow", parse_rules, settings),
        *_parsed("egress_allowlist", parse_allowlist, settings),
    ]
    addresses = _parsed("egress_allow_addresses", parse_networks, settings)
    if any(rule.scheme == "https" for rule in rules):
        try:
            tls_context()
        except EnvironmentFault as fault:
            raise SettingsError.of(fault) from None
    return Egress(
        rules,
        AddressRules(addresses),
        EgressLimits(
            settings.egress_timeout_ms / 1000,
            settings.max_egress_request_bytes,
            settings.max_egress_response_bytes,
            settings.max_egress_requests,
            settings.max_egress_requests_per_tenant,
        ),
    )


def _parsed(name: str, parse: Callable[[str], T], settings: Settings) -> T:
    try:
        return parse(getattr(settings, name))
    except ValueError as error:
        raise SettingsError(
            f"The setting {Settings.named(name)} {error}.", hint="docs/egress.md has the forms."
        ) from None
