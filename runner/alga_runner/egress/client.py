"""Guests' requests to other servers: checked, bounded, and sent to the very address that was checked."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from ipaddress import ip_address
from time import monotonic
from typing import NamedTuple

import anyio
import anyio.to_thread
import httpx

from alga_common.fair_limiter import share
from alga_common.http.exchange import Answer, send
from alga_common.http.response import AnswerTooLarge, HttpProtocolError, ResponseReader
from alga_common.http.transport import OWNER, WATCH, CertificateRefused, SocketTransport

from ..errors import HostCallCode, HostCallError
from ..settings import MIB, Settings
from .addresses import Address, AddressRules
from .message import (
    CODINGS,
    OF_ORIGIN,
    Header,
    HeadRefused,
    checked_headers,
    checked_method,
    content_coding,
    unpacked,
)
from .resolver import Resolver
from .rules import Destination, Rule, UrlRefused, allows, is_address, parse_rules, parse_url

RULES_SETTING = Settings.variables("egress_allow")[0]
ADDRESSES_SETTING = Settings.variables("egress_allow_addresses")[0]
MAX_REDIRECTS = 10
INSTALL_RULES = "egress_allow"
"""The member of an install's configuration that narrows what the deployment allows."""

_REDIRECTS = frozenset({301, 302, 303, 307, 308})
_INLINE_BYTES = 64 * 1024
"""A compressed body up to this size is unpacked on the event loop."""


class Outgoing(NamedTuple):
    """A guest's request; up to ``redirects`` redirects are followed."""

    method: str
    url: str
    headers: Sequence[Header] = ()
    body: bytes | None = None
    redirects: int = 0


class InFlight:
    """What a request takes of the memory until it is answered: its body, and as much of the answer as arrived."""

    __slots__ = ("_reader", "_sent")

    def __init__(self) -> None:
        self._sent = 0
        self._reader: ResponseReader | None = None

    def begin(self, sent: int) -> None:
        """Count a request with a body of so many bytes, and nothing of an answer before."""
        self._sent, self._reader = sent, None

    def watch(self, reader: ResponseReader) -> None:
        """Count what ``reader`` has of the answer."""
        self._reader = reader

    @property
    def held_bytes(self) -> int:
        """Bytes now; a body is there twice as it is sent, and as it is taken from its reader."""
        return 2 * (self._sent + (len(self._reader.body) if self._reader is not None else 0))


class Fetched(NamedTuple):
    """The answer to it."""

    status: int
    headers: list[Header]
    body: bytes


@dataclass(frozen=True, slots=True)
class EgressLimits:
    """Of one request, and of all of them."""

    timeout_s: float = 30.0
    request_bytes: int = 4 * MIB
    response_bytes: int = 4 * MIB
    requests: int = 100
    requests_per_tenant: int | None = None


class Egress:
    """Sends guests' requests where ``rules`` allow it, to addresses that ``addresses`` allow.

    ``around`` wraps the transport to them, for tests that answer requests themselves: such a request's name is not
    resolved.
    """

    def __init__(
        self,
        rules: Sequence[Rule] = (),
        addresses: AddressRules | None = None,
        limits: EgressLimits | None = None,
        *,
        resolver: Resolver | None = None,
        around: Callable[[httpx.AsyncBaseTransport], httpx.AsyncBaseTransport] | None = None,
    ) -> None:
        self.rules = tuple(rules)
        self.addresses = addresses or AddressRules()
        self._limits = limits or EgressLimits()
        self._resolver = resolver or Resolver()
        most, per_tenant = self._limits.requests, self._limits.requests_per_tenant
        sockets = SocketTransport(
            most,
            share(most) if per_tenant is None else per_tenant,
            max_answer_bytes=self._limits.response_bytes,
            resolve=self._resolve,
        )
        self._transport = sockets if around is None else around(sockets)

    async def fetch(
        self,
        outgoing: Outgoing,
        tenant_id: str,
        deadline: float,
        install_rules: str | None = None,
        in_flight: InFlight | None = None,
    ) -> Fetched:
        """Send ``outgoing`` and return the answer, of any status, by ``deadline``, a reading of ``time.monotonic()``.

        ``install_rules`` narrow what the deployment allows, if they are given; ``in_flight`` has what the request takes
        of the memory meanwhile. Raises ``HostCallError``.
        """
        timeout_s = min(self._limits.timeout_s, deadline - monotonic())
        if timeout_s > 0:
            with anyio.move_on_after(timeout_s):
                return await self._follow(outgoing, tenant_id, install_rules, in_flight or InFlight())
        raise HostCallError(HostCallCode.TIMEOUT, "The request was not answered in the available time.")

    async def aclose(self) -> None:
        """Close all connections."""
        self._resolver.close()
        await self._transport.aclose()

    async def _follow(
        self, outgoing: Outgoing, tenant_id: str, install_rules: str | None, in_flight: InFlight
    ) -> Fetched:
        left = outgoing.redirects
        while True:
            url, to = _parsed(outgoing.url)
            self._check(to, install_rules)
            answer = await self._exchange(outgoing, url, to, tenant_id, in_flight)
            location = answer.headers.get("location")
            if not left or answer.status not in _REDIRECTS or location is None:
                return await self._fetched(outgoing, answer, to)
            left -= 1
            outgoing = _redirected(outgoing, url, to, answer.status, location)

    def _check(self, to: Destination, install_rules: str | None) -> None:
        """Raise ``HostCallError`` unless deployment and install allow requests to go there."""
        if not allows(self.rules, to):
            raise _denied(
                f"Requests to {to} are not allowed: the rule {to.rule()} in {RULES_SETTING} would allow them.",
                to,
            )
        if install_rules is None:
            return
        try:
            narrowed = parse_rules(install_rules)
        except ValueError as error:
            raise _denied(f"The install's {INSTALL_RULES} {error}; no request is sent.", to) from None
        if not allows(narrowed, to):
            raise _denied(
                f"Requests to {to} are not allowed for this install: the rule {to.rule()} in its configuration's "
                f"{INSTALL_RULES} would allow them.",
                to,
            )

    async def _exchange(
        self, outgoing: Outgoing, url: httpx.URL, to: Destination, tenant_id: str, in_flight: InFlight
    ) -> Answer:
        request = self._request(outgoing, url, to)
        request.extensions[OWNER] = tenant_id
        request.extensions[WATCH] = in_flight.watch
        in_flight.begin(len(outgoing.body or b""))
        try:
            return await send(self._transport, request, self._limits.response_bytes, may_be_coded=True)
        except httpx.HTTPError as error:
            raise _failure(error, to) from None

    def _request(self, outgoing: Outgoing, url: httpx.URL, to: Destination) -> httpx.Request:
        body = outgoing.body or b""
        if len(body) > self._limits.request_bytes:
            raise HostCallError(
                HostCallCode.TOO_LARGE,
                f"The request's body has {len(body)} bytes; {self._limits.request_bytes} are allowed.",
            )
        try:
            method = checked_method(outgoing.method)
            headers = checked_headers(outgoing.headers, to.authority, len(body))
        except HeadRefused as error:
            raise HostCallError(HostCallCode.VALIDATION_FAILED, str(error)) from None
        given = {name.lower() for name, _ in headers}
        head = [("host", to.authority), ("connection", "close"), *headers]
        if "accept" not in given:
            head.append(("accept", "*/*"))
        if not _unpacks_itself(outgoing):
            head.append(("accept-encoding", ", ".join(CODINGS)))
        if outgoing.body is not None or method in {"POST", "PUT", "PATCH"}:
            head.append(("content-length", str(len(body))))
        return httpx.Request(method, url, headers=head, stream=httpx.ByteStream(body))

    async def _fetched(self, outgoing: Outgoing, answer: Answer, to: Destination) -> Fetched:
        headers = [(name.decode("ascii"), _text(value)) for name, value in answer.headers.raw]
        if _unpacks_itself(outgoing) or not answer.body:
            return Fetched(answer.status, headers, answer.body)
        try:
            coding = content_coding(answer.headers.get_list("content-encoding"))
            if coding is None:
                return Fetched(answer.status, headers, answer.body)
            unpack = partial(unpacked, answer.body, coding, self._limits.response_bytes)
            body = await anyio.to_thread.run_sync(unpack) if len(answer.body) > _INLINE_BYTES else unpack()
        except HttpProtocolError as error:
            raise _failure(error, to) from None
        kept = [
            header for header in headers if header[0].lower() not in {"content-encoding", "content-length"}
        ]
        return Fetched(answer.status, kept, body)

    async def _resolve(self, request: httpx.Request) -> list[str]:
        """The addresses of a request's server that it may be sent to. Raises ``HostCallError`` if there are none."""
        _, to = _parsed(str(request.url))
        addresses = await self._addresses_of(to, request.extensions[OWNER])
        refusals = {address: self.addresses.refusal(address) for address in addresses}
        allowed = [str(address) for address, refusal in refusals.items() if refusal is None]
        if not allowed:
            address, kind = next(iter(refusals.items()))
            raise HostCallError(
                HostCallCode.DENIED,
                f"Requests to {to} are not allowed: its address is {kind}. The operator can allow it in "
                f"{ADDRESSES_SETTING}.",
                detail=f"{to.host} has the address {address}, which is {kind}",
            )
        return allowed

    async def _addresses_of(self, to: Destination, owner: str) -> list[Address]:
        if is_address(to.host):
            return [ip_address(to.host)]
        try:
            addresses = await self._resolver.addresses(to.host, owner)
        except (OSError, UnicodeError):
            addresses = []
        if not addresses:
            raise HostCallError(HostCallCode.UNAVAILABLE, f"The name {to.host} has no address.")
        return addresses


def _parsed(url: str) -> tuple[httpx.URL, Destination]:
    try:
        return parse_url(url)
    except UrlRefused as error:
        raise HostCallError(
            HostCallCode.VALIDATION_FAILED, f"The URL {error}.", field_errors={"url": f"It {error}"}
        ) from None


def _redirected(outgoing: Outgoing, url: httpx.URL, to: Destination, status: int, location: str) -> Outgoing:
    """The request that a redirect asks for (RFC 9110, 15.4): it is checked as the first one was."""
    try:
        target, _ = parse_url(str(url.join(location)))
    except (httpx.InvalidURL, ValueError):
        raise HostCallError(
            HostCallCode.INTERNAL, f"{to.host} redirects to a URL that cannot be used."
        ) from None
    headers, method, body = list(outgoing.headers), outgoing.method, outgoing.body
    if status == 303 or (status in {301, 302} and method.upper() == "POST"):
        method, body = "HEAD" if method.upper() == "HEAD" else "GET", None
        headers = [header for header in headers if not header[0].lower().startswith("content-")]
    if (target.scheme, target.host, target.port) != (url.scheme, url.host, url.port):
        headers = [header for header in headers if header[0].lower() not in OF_ORIGIN]
    # A host of the first request is not the next one's.
    headers = [header for header in headers if header[0].lower() != "host"]
    return outgoing._replace(method=method, url=str(target), headers=headers, body=body)


def _unpacks_itself(outgoing: Outgoing) -> bool:
    """Whether the guest asked for a content coding of its choice, and gets the body as the server sent it."""
    return any(name.lower() == "accept-encoding" for name, _ in outgoing.headers)


def _text(value: bytes) -> str:
    """A header's value; one that is no text is empty (alga-contract 4, HTTP)."""
    text = value.decode("latin-1")
    return text if text.isascii() else ""


def _denied(sentence: str, to: Destination) -> HostCallError:
    return HostCallError(HostCallCode.DENIED, sentence, detail=f"no rule for {to.rule()}")


def _failure(error: httpx.HTTPError, to: Destination) -> HostCallError:
    # The texts of httpx's own errors are left out: they may quote a header.
    if isinstance(error, AnswerTooLarge):
        return HostCallError(HostCallCode.TOO_LARGE, f"The answer of {to.host} {error}.")
    if isinstance(error, HttpProtocolError):
        return HostCallError(HostCallCode.INTERNAL, f"The answer of {to.host} {error}.")
    if isinstance(error, CertificateRefused):
        return HostCallError(HostCallCode.UNAVAILABLE, f"The certificate of {to.host} is not accepted.")
    if isinstance(error, httpx.ConnectError):
        return HostCallError(HostCallCode.UNAVAILABLE, f"{to.host} cannot be reached.")
    return HostCallError(
        HostCallCode.UNAVAILABLE,
        f"The connection to {to.host} was lost before it answered; whether it acted is unknown.",
    )
