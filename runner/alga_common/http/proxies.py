"""The proxy that the environment names for a URL, and the hosts that it is not for."""

from __future__ import annotations

import ipaddress
import logging
import re
from contextlib import suppress
from importlib.util import find_spec
from typing import NamedTuple

import httpx

from ..environment import EnvironmentFault, variable
from ..wire import is_loopback

_KINDS = {"http", "https", "socks5", "socks5h"}
_HOST = re.compile(r"\w[\w.-]*|[0-9A-Fa-f:.]+")
_ENTRY = re.compile(r"(?:\w+://)?(?:\*?\.)?(\[[0-9A-Fa-f:.]+\]|\w[\w.-]*)(?::([0-9]{1,5}))?")


class Proxy(NamedTuple):
    """A proxy. Its ``url`` may hold a password; messages name the ``variable``."""

    variable: str
    url: httpx.URL


def environment_proxy(url: str) -> Proxy | None:
    """The proxy for ``url``; ``None`` if the environment names none, the server is on this machine, or it is no URL.

    ``https_proxy`` (or ``http_proxy``, by the URL) goes before ``all_proxy``, a name in small letters before one in
    capitals, and ``no_proxy`` lists hosts, domains, addresses and networks. Raises ``EnvironmentFault`` for a proxy
    that cannot be used, and for an entry of ``no_proxy`` that cannot be read, unless another one names the server.
    """
    try:
        target = httpx.URL(url)
    except httpx.InvalidURL:
        return None
    name = _proxy_variable(target)
    if name is None or _is_excepted(target, through=name):
        return None
    return Proxy(name, _parsed(name, variable(name) or ""))


def warn_of_unused_proxy(logger: logging.Logger, server: str, url: str | None) -> None:
    """Log a warning if the environment names a proxy for ``url``: connections to ``server`` are made directly."""
    with suppress(httpx.InvalidURL):
        target = httpx.URL((url or "").strip())
        name = _proxy_variable(target)
        if name is None:
            return
        with suppress(EnvironmentFault):
            if _is_excepted(target, through=name):
                return
        logger.warning(
            "Ignored: %s is set, and connections to %s are made without a proxy",
            name,
            server,
            extra={"action": "variables_ignored"},
        )


def _proxy_variable(target: httpx.URL) -> str | None:
    if not target.host or is_loopback(target.host):
        return None
    names = (f"{target.scheme}_proxy", "all_proxy")
    return next((name for both in names for name in (both, both.upper()) if variable(name) is not None), None)


def _is_excepted(target: httpx.URL, *, through: str) -> bool:
    """Whether ``no_proxy`` names the server."""
    name = next((name for name in ("no_proxy", "NO_PROXY") if variable(name) is not None), None)
    if name is None:
        return False
    entries = [entry for entry in re.split(r"[,\s]+", variable(name) or "") if entry]
    answers = [_names(entry, target) for entry in entries]
    if True in answers:
        return True
    if None in answers:
        raise EnvironmentFault(
            f"Entry {answers.index(None) + 1} of {name} is not a host, a domain, an address or a network.",
            hint=f"{through} names a proxy, and the entry may mean this server: mend it, or unset {through}.",
        )
    return False


def _names(entry: str, target: httpx.URL) -> bool | None:
    """Whether ``entry`` of ``no_proxy`` names the server; ``None`` if it cannot be read."""
    if entry == "*":
        return True
    with suppress(ValueError):
        network = ipaddress.ip_network(entry.strip("[]"), strict=False)
        with suppress(ValueError):
            return ipaddress.ip_address(target.host) in network
        return False
    match = _ENTRY.fullmatch(entry)
    if match is None:
        return None
    host, port = match[1].strip("[]").lower().rstrip("."), match[2]
    of = target.host.lower().rstrip(".")
    is_port = port is None or int(port) == (target.port or (443 if target.scheme == "https" else 80))
    return is_port and (of == host or of.endswith(f".{host}"))


def _parsed(name: str, value: str) -> httpx.URL:
    try:
        url = httpx.URL(value.strip() if "://" in value else f"http://{value.strip()}")
    except httpx.InvalidURL:
        url = httpx.URL("")
    if url.scheme not in _KINDS or not _HOST.fullmatch(url.host):
        raise EnvironmentFault(
            f"{name} names no proxy that can be used.",
            hint="It is like http://proxy.example:3128; https:// and socks5:// are supported, too.",
        )
    if url.scheme.startswith("socks") and find_spec("socksio") is None:
        raise EnvironmentFault(
            f"{name} names a SOCKS proxy, and the package socksio is not installed.",
            hint="`pip install socksio`; or name an HTTP proxy; or list the server in NO_PROXY.",
        )
    return url
