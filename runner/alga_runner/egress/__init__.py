"""Guests' requests to other servers: nothing is reachable until the operator allows it."""

from __future__ import annotations

from .addresses import METADATA, AddressRules, parse_networks
from .client import INSTALL_RULES, MAX_REDIRECTS, Egress, EgressLimits, Fetched, InFlight, Outgoing
from .connect import connect
from .resolver import Resolver
from .rules import Rule, parse_allowlist, parse_rules

__all__ = [
    "INSTALL_RULES",
    "MAX_REDIRECTS",
    "METADATA",
    "AddressRules",
    "Egress",
    "EgressLimits",
    "Fetched",
    "InFlight",
    "Outgoing",
    "Resolver",
    "Rule",
    "connect",
    "parse_allowlist",
    "parse_networks",
    "parse_rules",
]
