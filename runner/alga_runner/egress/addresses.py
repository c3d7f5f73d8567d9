"""Which addresses a guest's request may be sent to: the internet's, and those that the operator named.

The tables are this runner's own: those of ``ipaddress`` change with the version of Python. They follow the IANA
registries of special-purpose addresses, and count a whole block as special where one part of it is.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network, ip_address, ip_network
from typing import TypeAlias

Address: TypeAlias = IPv4Address | IPv6Address
Network: TypeAlias = IPv4Network | IPv6Network

_V4: tuple[tuple[IPv4Network, str], ...] = tuple(
    (IPv4Network(block), kind)
    for block, kind in (
        ("0.0.0.0/8", "unspecified"),
        ("10.0.0.0/8", "private"),
        ("100.64.0.0/10", "shared by a carrier's customers"),
        ("127.0.0.0/8", "loopback"),
        ("168.63.129.16/32", "a cloud's own"),
        ("169.254.0.0/16", "link-local, as metadata services are"),
        ("172.16.0.0/12", "private"),
        ("192.0.0.0/24", "reserved"),
        ("192.0.2.0/24", "for documentation"),
        ("192.31.196.0/24", "reserved"),
        ("192.52.193.0/24", "reserved"),
        ("192.88.99.0/24", "a 6to4 relay"),
        ("192.168.0.0/16", "private"),
        ("192.175.48.0/24", "reserved"),
        ("198.18.0.0/15", "for benchmarks"),
        ("198.51.100.0/24", "for documentation"),
        ("203.0.113.0/24", "for documentation"),
        ("224.0.0.0/4", "multicast"),
        ("240.0.0.0/4", "reserved"),
    )
)

_V6: tuple[tuple[IPv6Network, str], ...] = tuple(
    (IPv6Network(block), kind)
    for block, kind in (
        ("::/128", "unspecified"),
        ("::1/128", "loopback"),
        ("::ffff:0:0/96", "an IPv4 address in another form"),
        ("::/96", "an IPv4 address in another form"),
        ("64:ff9b::/96", "translated to IPv4"),
        ("64:ff9b:1::/48", "translated to IPv4"),
        ("2001::/32", "translated to IPv4"),
        ("2001:db8::/32", "for documentation"),
        ("2001::/23", "reserved"),
        ("2002::/16", "translated to IPv4"),
        ("2620:4f:8000::/48", "reserved"),
        ("3fff::/20", "for documentation"),
        ("fc00::/7", "private"),
        ("fe80::/10", "link-local"),
        ("fec0::/10", "private"),
        ("ff00::/8", "multicast"),
    )
)
METADATA: tuple[Address, ...] = tuple(
    map(ip_address, ("169.254.169.254", "168.63.129.16", "100.100.100.200", "192.0.0.192", "fd00:ec2::254"))
)
"""Where clouds answer with a machine's own credentials."""

_GLOBAL_V6 = IPv6Network("2000::/3")
"""The only block from which addresses of the internet were given out."""

_V4_IN_LAST_BITS = tuple(map(IPv6Network, ("::ffff:0:0/96", "64:ff9b::/96", "64:ff9b:1::/48")))
_TEREDO, _6TO4 = IPv6Network("2001::/32"), IPv6Network("2002::/16")


def special_kind(address: Address) -> str | None:
    """What makes ``address`` none of the internet's, such as ``private``; ``None`` if it is one."""
    if isinstance(address, IPv4Address):
        return next((kind for block, kind in _V4 if address in block), None)
    if address.scope_id is not None:
        return "link-local"
    kind = next((kind for block, kind in _V6 if address in block), None)
    return kind or (None if address in _GLOBAL_V6 else "reserved")


def carried_v4(address: Address) -> tuple[IPv4Address, ...]:
    """The IPv4 addresses that ``address`` leads to through a translator: of Teredo its server and its client."""
    if isinstance(address, IPv4Address):
        return ()
    bits = int(address)
    if address in _TEREDO:
        return IPv4Address(bits >> 64 & 0xFFFFFFFF), IPv4Address(~bits & 0xFFFFFFFF)
    if address in _6TO4:
        return (IPv4Address(bits >> 80 & 0xFFFFFFFF),)
    if any(address in block for block in _V4_IN_LAST_BITS):
        return (IPv4Address(bits & 0xFFFFFFFF),)
    return ()


class AddressRules:
    """The internet's addresses, and those in ``allowed``.

    An address that carries another one in it is allowed only if the other one is, too: to name the prefix of a
    translator opens no private address behind it.
    """

    def __init__(self, allowed: Sequence[Network] = ()) -> None:
        self.allowed = tuple(allowed)

    def refusal(self, address: Address) -> str | None:
        """What kind of address it is, if requests may not be sent to it."""
        kind = special_kind(address)
        if kind is None or (self._names(address) and getattr(address, "scope_id", None) is None):
            refusals = (self.refusal(carried) for carried in carried_v4(address))
            return next((refused for refused in refusals if refused is not None), None)
        return kind

    def _names(self, address: Address) -> bool:
        return any(address.version == network.version and address in network for network in self.allowed)


def parse_networks(text: str) -> tuple[Network, ...]:
    """Addresses and networks in CIDR form, separated by commas or white space.

    Raises ``ValueError``, which completes "The setting ...", for one that is neither, or has bits beyond its prefix.
    """
    networks = []
    for number, entry in enumerate(filter(None, re.split(r"[,\s]+", text)), 1):
        try:
            networks.append(ip_network(entry))
        except ValueError:
            raise ValueError(
                f"has an entry {number} that is no address and no network such as 10.1.2.0/24"
            ) from None
    return tuple(networks)
