"""Where guests' requests may go: rules by scheme, host and port. Nothing is allowed until a rule names it."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from ipaddress import IPv4Address, IPv6Address, ip_address

import httpx

_PORTS = {"https": 443, "http": 80}
MAX_URL_CHARACTERS = 16 * 1024
MAX_RULES = 1_000

_NAME = re.compile(
    r"(?=.{1,253}\Z)[a-z0-9_](?:[a-z0-9_-]{0,61}[a-z0-9_])?(?:\.[a-z0-9_](?:[a-z0-9_-]{0,61}[a-z0-9_])?)*"
)
_NUMBER = re.compile(r"[0-9]+|0x[0-9a-f]*")
_HOST = re.compile(r"\[[0-9A-Fa-f:.]+\]|[^/:@?#\[\]\\\s]+")
_RULE = re.compile(rf"(?:(https?)://)?({_HOST.pattern})(?::([0-9]{{1,5}}|\*))?/?")


class UrlRefused(ValueError):
    """A URL that no request is sent to; the message completes "The URL ..."."""


@dataclass(frozen=True, slots=True)
class Destination:
    """Where a request goes: ``http`` or ``https``, a name or an address in its shortest form, and a port."""

    scheme: str
    host: str
    port: int

    def __str__(self) -> str:
        return self.rule()

    @property
    def authority(self) -> str:
        """Host and port as the header ``host`` has them: the scheme's own port is left out."""
        host = f"[{self.host}]" if ":" in self.host else self.host
        return host if self.port == _PORTS[self.scheme] else f"{host}:{self.port}"

    def rule(self) -> str:
        """The rule that allows it, and nothing else."""
        return f"{self.scheme}://{self.authority}"


def parse_url(text: str) -> tuple[httpx.URL, Destination]:
    """``text`` as an absolute URL without a fragment, and where it leads. Raises ``UrlRefused``."""
    if len(text) > MAX_URL_CHARACTERS:
        raise UrlRefused(f"is longer than {MAX_URL_CHARACTERS} characters")
    try:
        url = httpx.URL(text)
        host, port = url.raw_host.decode("ascii"), url.port
    except (httpx.InvalidURL, UnicodeError, ValueError):
        raise UrlRefused("cannot be read") from None
    if url.scheme not in _PORTS or not host:
        raise UrlRefused("is not an absolute http or https URL")
    if url.userinfo:
        raise UrlRefused("has credentials in it: send them as the header authorization")
    destination = Destination(url.scheme, canonical_host(host), _PORTS[url.scheme] if port is None else port)
    if not 0 < destination.port < 65_536:
        raise UrlRefused("has no usable port")
    return url.copy_with(host=destination.host, fragment=None), destination


def canonical_host(host: str) -> str:
    """``host`` in small letters, without a dot at its end; an address in its shortest form.

    Raises ``UrlRefused`` for a host that is neither, and for an IPv4 address in any form but four
    decimal numbers: resolvers read ``0177.1`` and ``2130706433`` as addresses.
    """
    host = host.lower().removeprefix("[").removesuffix("]").removesuffix(".")
    if ":" in host:
        try:
            if "%" not in host:  # a zone, which only this machine knows
                return str(IPv6Address(host))
        except ValueError:
            pass
        raise UrlRefused("has a host that is no address")
    if _NUMBER.fullmatch(host.rpartition(".")[2]):
        try:
            return str(IPv4Address(host))
        except ValueError:
            raise UrlRefused("has a host of numbers that is not an address like 192.0.2.1") from None
    if not _NAME.fullmatch(host):
        raise UrlRefused("has a host that is not a name")
    return host


def is_address(host: str) -> bool:
    """Whether a canonical host is an address."""
    try:
        ip_address(host)
    except ValueError:
        return False
    return True


@dataclass(frozen=True, slots=True)
class Rule:
    """One rule. ``host`` is a name, an address, ``*.suffix`` for names below a name, or ``*``.

    Without a ``port`` it is for any.
    """

    scheme: str
    host: str
    port: int | None

    @property
    def is_address(self) -> bool:
        """Whether it names an address."""
        return is_address(self.host)

    def allows(self, to: Destination) -> bool:
        """Whether requests may go there, as far as its name decides."""
        if self.scheme != to.scheme or self.port not in {None, to.port}:
            return False
        if self.host.startswith("*."):
            return to.host.endswith(self.host[1:]) and not is_address(to.host)
        return self.host in {"*", to.host}


def parse_rules(text: str) -> tuple[Rule, ...]:
    """Rules, separated by commas or white space: ``https://api.example``, ``*.example:8443``, ``http://10.0.0.7:*``.

    Without a scheme a rule is for https; without a port, for the scheme's own; ``:*`` is any port. Raises
    ``ValueError``, which completes "The setting ...", and quotes no rule.
    """
    return tuple(_rule(number, entry) for number, entry in enumerate(_entries(text), 1))


def parse_allowlist(text: str) -> tuple[Rule, ...]:
    """The list of Alga's runner (alga-contract 4, HTTP): hosts, each with all names below it, any scheme and port.

    Raises ``ValueError`` as ``parse_rules`` does.
    """
    rules = []
    for number, entry in enumerate(_entries(text), 1):
        host = _rule_host(number, entry)
        names = [host] if host.startswith("*") or is_address(host) else [host, f"*.{host}"]
        rules += [Rule(scheme, name, None) for name in names for scheme in _PORTS]
    return tuple(rules)


def allows(rules: Iterable[Rule], to: Destination) -> bool:
    """Whether one of ``rules`` allows requests to go there."""
    return any(rule.allows(to) for rule in rules)


def _entries(text: str) -> Sequence[str]:
    entries = [entry for entry in re.split(r"[,\s]+", text) if entry]
    if len(entries) > MAX_RULES:
        raise ValueError(f"has more than {MAX_RULES} rules")
    return entries


def _rule(number: int, entry: str) -> Rule:
    match = _RULE.fullmatch(entry)
    port = None if match is None or match[3] in {None, "*"} else int(match[3])
    if match is None or port not in {None, *range(1, 65_536)}:
        raise _faulty(number)
    scheme = match[1] or "https"
    return Rule(scheme, _rule_host(number, match[2]), _PORTS[scheme] if match[3] is None else port)


def _rule_host(number: int, text: str) -> str:
    if text == "*":
        return text
    wildcard, name = ("*.", text[2:]) if text.startswith("*.") else ("", text)
    try:
        host = canonical_host(httpx.URL(f"https://{name}").raw_host.decode("ascii"))
    except (httpx.InvalidURL, UnicodeError, UrlRefused):
        raise _faulty(number) from None
    if not _HOST.fullmatch(name) or (wildcard and is_address(host)):
        raise _faulty(number)
    return wildcard + host


def _faulty(number: int) -> ValueError:
    return ValueError(
        f"has an entry {number} that is no rule: one is like https://api.example.com, *.example.com or http://10.0.0.7:8080"
    )
