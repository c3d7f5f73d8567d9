"""An Alga server of the dialect ``prd`` that fails the host calls a test chooses, and answers the others."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass

import httpx

from ..alga.calls import CALLS
from ..errors import HostCallCode, HostCallError


def _named(server_operation: str) -> str:
    """``get-endpoints`` of ``getEndpoints``."""
    return re.sub(r"[A-Z]", lambda letter: f"-{letter[0].lower()}", server_operation)


SERVER_OPERATIONS = tuple(_named(name) for name in CALLS)
"""Operations that an Alga server answers."""

_GROUP_ROUTE = re.compile(r".*/ext-([a-z-]+)/install/")


async def _operation_of(request: httpx.Request) -> str:
    """The scheduler's operations have a route each; those of another group are named in the document."""
    of_group = _GROUP_ROUTE.match(request.url.path)
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
