"""Servers that a test scripts: an Alga server of the dialect ``prd`` that fails the host calls a test chooses, and
answers the others; and those elsewhere, which an extension reaches by ``http.fetch``.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Self, TypeAlias

import httpx

from alga_common.http.transport import SocketTransport

from ..alga.calls import CALLS
from ..egress import AddressRules, Egress, EgressLimits, Rule, parse_networks, parse_rules
from ..egress.rules import parse_url
from ..errors import HostCallCode, HostCallError


def _named(server_operation: str) -> str:
    """``get-endpoints`` of ``getEndpoints``."""
    return re.sub(r"[A-Z]", lambda letter: f"-{letter[0].lower()}", server_operation)


SERVER_OPERATIONS = tuple(_named(name) for name in CALLS)
"""Operations that an Alga server answers."""

_GROUP_ROUTE = re.compile(r"/ext-([a-z-]+)/install/")


async def _operation_of(request: httpx.Request) -> str:
    """The scheduler's operations have a route each; those of another group are named in the document."""
    of_group = _GROUP_ROUTE.search(request.url.path)
    if of_group is None:
        return f"scheduler.{request.url.path.rpartition('/')[2]}"
    return f"{of_group[1]}.{_named(json.loads(await request.aread())['operation'])}"


@dataclass
class _Failure:
    operation: str
    error: Callable[[], HostCallError]
    left: int | None
    acted: bool
    optional: bool
    met: int = 0


class ScriptedServer(httpx.AsyncBaseTransport):
    """The transport to a server that answers like the one behind ``transport``, apart from the failures of a test."""

    def __init__(self, transport: httpx.AsyncBaseTransport) -> None:
        self._transport = transport
        self._failures: list[_Failure] = []
        self._down = 0

    def fail(
        self,
        operation: str,
        *,
        code: str = "unavailable",
        message: str | None = None,
        field_errors: Mapping[str, str] | None = None,
        retry_after_ms: int | None = None,
        times: int | None = 1,
        acted: bool = False,
        optional: bool = False,
    ) -> None:
        """Fail the next ``times`` host calls of ``operation`` (``None``: all that follow) with ``code``.

        With ``acted`` the server does its work first and only its answer is lost. A failure that no host call has
        met when the test ends fails the test, unless it is ``optional``. Raises ``ValueError`` for an operation that
        does not reach the server, or an unknown code.
        """
        __tracebackhide__ = True
        if operation not in SERVER_OPERATIONS:
            raise ValueError(
                f"no host call {operation!r} reaches the server; these do: {', '.join(SERVER_OPERATIONS)}"
            )
        if code not in (known := [member.value for member in HostCallCode]):
            raise ValueError(f"a host call has no error {code!r}; it has {', '.join(known)}")

        def error() -> HostCallError:
            return HostCallError(
                HostCallCode(code),
                message or f"The test made {operation} fail.",
                field_errors=field_errors,
                retry_after_ms=retry_after_ms,
            )

        self._failures.append(_Failure(operation, error, times, acted, optional))

    @contextmanager
    def down(self) -> Iterator[None]:
        """While this lasts, the server cannot be reached: its host calls are ``unavailable``."""
        self._down += 1
        try:
            yield
        finally:
            self._down -= 1

    def unmet(self) -> list[str]:
        """One sentence for each failure that is not optional and that host calls did not meet as often as asked."""
        return [
            f"alga.server.fail({failure.operation!r}) was met {failure.met} of "
            f"{failure.met + (failure.left or 1)} times"
            for failure in self._failures
            if not failure.optional and (failure.left or not failure.met)
        ]

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        """The server's answer, or the next failure of the operation. Raises ``HostCallError``."""
        if self._down:
            raise httpx.ConnectError("down")
        operation = await _operation_of(request)
        failure = next(
            (failure for failure in self._failures if failure.operation == operation and failure.left != 0),
            None,
        )
        if failure is None:
            return await self._transport.handle_async_request(request)
        failure.met += 1
        if failure.left is not None:
            failure.left -= 1
        if failure.acted:
            await self._transport.handle_async_request(request)
        raise failure.error()

    async def aclose(self) -> None:
        """Close the transport to the server."""
        await self._transport.aclose()


ElsewhereAnswer: TypeAlias = httpx.Response | Callable[[httpx.Request], httpx.Response] | str
"""A response, a function that makes one, or the URL of a real server."""


class Elsewhere:
    """The servers that extensions reach by ``http.fetch``: those that the test serves or allows, no others.

    alga.egress.serve("https://api.example.com", httpx.Response(200, json={"EUR": 1.08}))
    """

    requests: list[httpx.Request]
    """What extensions sent there so far, each with its body as ``content``."""

    def __init__(self) -> None:
        self.requests = []
        self._served: list[tuple[tuple[Rule, ...], ElsewhereAnswer]] = []
        self._local = SocketTransport(
            100, 100, max_answer_bytes=EgressLimits().response_bytes, resolve=_own_address
        )
        self.client = Egress(around=self._around)
        """What the runner sends requests with."""

    def serve(self, rule: str, answer: ElsewhereAnswer) -> None:
        """Answer requests that ``rule`` allows with ``answer``; the newest rule counts. Nothing leaves the process.

        ``answer`` is a response, a function from request to response, or the URL of a real server on this machine,
        ``http://127.0.0.1:8123``, which gets the requests in place of the one that they name. Raises ``ValueError`` for
        an unusable rule (docs/egress.md).
        """
        rules = parse_rules(rule)
        self._served.append((rules, answer))
        self.client.rules += rules

    def allow(self, rule: str, *, addresses: str = "") -> None:
        """Let requests that ``rule`` allows out to the real servers, those at ``addresses`` too if they are private.

        Raises ``ValueError`` for an unusable rule or address (docs/egress.md).
        """
        self.client.rules += parse_rules(rule)
        self.client.addresses = AddressRules((*self.client.addresses.allowed, *parse_networks(addresses)))

    def _around(self, sockets: httpx.AsyncBaseTransport) -> httpx.AsyncBaseTransport:
        return _ElsewhereTransport(self, sockets)

    async def answer(self, request: httpx.Request, sockets: httpx.AsyncBaseTransport) -> httpx.Response:
        """The answer to ``request``, which its rule allows."""
        await request.aread()
        self.requests.append(request)
        _, to = parse_url(str(request.url))
        for rules, answer in reversed(self._served):
            if not any(rule.allows(to) for rule in rules):
                continue
            if isinstance(answer, httpx.Response):
                return answer
            if not isinstance(answer, str):
                return answer(request)
            local = httpx.URL(answer)
            moved = request.url.copy_with(scheme=local.scheme, host=local.host, port=local.port)
            return await self._local.handle_async_request(
                httpx.Request(request.method, moved, headers=request.headers.raw, content=request.content)
            )
        return await sockets.handle_async_request(request)

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_: object) -> None:
        """Close all connections."""
        await self.client.aclose()
        await self._local.aclose()


class _ElsewhereTransport(httpx.AsyncBaseTransport):
    def __init__(self, elsewhere: Elsewhere, sockets: httpx.AsyncBaseTransport) -> None:
        self._elsewhere = elsewhere
        self._sockets = sockets

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        return await self._elsewhere.answer(request, self._sockets)

    async def aclose(self) -> None:
        await self._sockets.aclose()


async def _own_address(request: httpx.Request) -> list[str]:
    return [request.url.host]
