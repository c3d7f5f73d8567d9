"""A client of a running server's admin API: paths in, JSON out, refusals raised as ``Failure``."""

from __future__ import annotations

import os
import ssl
from collections.abc import Awaitable, Callable, Mapping, Sequence
from types import TracebackType
from typing import Any, Self, TypeVar
from urllib.parse import quote

import httpx

from alga_common.cli.failures import Failure
from alga_common.http.proxies import Proxy, environment_proxy
from alga_common.http.semantics import is_header_value
from alga_common.http.tls import tls_for
from alga_common.signals.coroutines import run as run_coroutine

from ..errors import HINTS

_TOKEN = "ALGA_SERVER_ADMIN_TOKEN"  # noqa: S105 - the name of a variable
_GATEWAY_TOKEN = "ALGA_SERVER_GATEWAY_TOKEN"  # noqa: S105 - the name of a variable
_CONNECT_S = 5.0
_CALL_S = 3600.0
_ANSWER_S = 60.0
_GRANTS_HINT = "Grant what the extension's manifest declares; `alga-server extensions` lists it."
_OTHER_HINT = "Look the code up in docs/errors.md of the server's version."

T = TypeVar("T")


class Admin:
    """An admin at one server. The token is read from the environment alone, so that no process list shows it.

    Raises ``EnvironmentFault`` for a proxy or certificates of the environment that cannot be used; on entering
    ``Failure`` with ``token_missing``, then those of ``call``.
    """

    def __init__(self, url: str, *, transport: httpx.AsyncBaseTransport | None = None) -> None:
        self._url = url
        proxy = None if transport else environment_proxy(url)
        self._place = url if proxy is None else f"{url} through the proxy of {proxy.variable}"
        self._client = httpx.AsyncClient(
            transport=transport,
            timeout=httpx.Timeout(_ANSWER_S, connect=_CONNECT_S),
            proxy=None if proxy is None else proxy.url,
            verify=_verifier(url, proxy),
            trust_env=False,  # httpx raises for more than it explains
            headers={"accept": "application/json"},
        )

    async def __aenter__(self) -> Self:
        self._client.headers["authorization"] = f"Bearer {_token(_TOKEN)}"
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self._client.aclose()

    async def get(self, *path: str, **query: Any) -> Any:
        """GET a document; see ``call``."""
        _, document = await self.call("GET", *path, query=query)
        return document

    async def call(
        self,
        method: str,
        *path: str,
        query: dict[str, Any] | None = None,
        json: Any = None,
        content: bytes | None = None,
        headers: Mapping[str, str] | None = None,
        answer_s: float = _ANSWER_S,
    ) -> tuple[int, Any]:
        """Make one request below ``/api/admin``; return its status and JSON, ``None`` if there is no body.

        ``path`` are its segments, ``answer_s`` the longest wait for an answer. Raises ``Failure``:
        ``server_unreachable``, ``server_timeout``, ``not_alga_server``, ``argument_not_utf8``, or the server's code.
        """
        given = {key: value for key, value in (query or {}).items() if value is not None}
        route = ("api", "admin", *path)
        response = await self._send(
            method, route, answer_s, params=given, json=json, content=content, headers=headers
        )
        return response.status_code, self._read(response)

    async def gateway(
        self,
        tenant: str,
        extension_id: str,
        method: str,
        target: str,
        *,
        headers: Mapping[str, str],
        body: bytes | None,
    ) -> httpx.Response:
        """Call an endpoint through the gateway, as the session layer in front of it does; return the answer as it is.

        ``target`` is a path, maybe with a query. Raises ``Failure``, as ``call`` does for the connection.
        """
        given = {**headers, "authorization": f"Bearer {_token(_GATEWAY_TOKEN)}", "x-alga-tenant": tenant}
        route = ("api", "ext", extension_id)
        return await self._send(method, route, _CALL_S, target, headers=given, content=body)

    async def _send(
        self, method: str, route: Sequence[str], answer_s: float, target: str = "", **request: Any
    ) -> httpx.Response:
        try:
            url = "/".join([self._url, *(quote(segment, safe="") for segment in route)])
            return await self._client.request(
                method,
                url + target,
                timeout=httpx.Timeout(answer_s, connect=_CONNECT_S),
                **request,
            )
        except UnicodeEncodeError as error:
            raise Failure(
                "argument_not_utf8",
                f"The argument {error.object!r} is not text in UTF-8.",
                hint="Type it again, in a terminal whose encoding is UTF-8.",
            ) from None
        except (httpx.ConnectError, httpx.ConnectTimeout) as error:
            if why := _tls_fault(error):
                raise Failure(
                    "server_unreachable",
                    f"No TLS connection to {self._place} could be made: {why}.",
                    hint="Trust the server's authority with SSL_CERT_FILE, or use http:// for a server without TLS.",
                ) from None
            raise Failure(
                "server_unreachable",
                f"No server answers at {self._place}.",
                hint="Start one with `alga-server serve --dev`, or name another with --server or ALGA_SERVER_URL.",
            ) from None
        except httpx.TimeoutException:
            raise Failure(
                "server_timeout",
                f"The server at {self._url} did not answer within {answer_s:g} s.",
                hint="The request may have been carried out; look before you repeat it.",
            ) from None
        except (httpx.TransportError, httpx.InvalidURL) as error:
            raise Failure(
                "server_unreachable",
                f"The connection to {self._place} broke: {error or type(error).__name__}.",
                hint="Check --server, or ALGA_SERVER_URL; the request may have been carried out.",
            ) from None

    def _read(self, response: httpx.Response) -> Any:
        if response.status_code == 204:
            return None
        try:
            document = response.json()
        except ValueError:
            document = None
        if response.is_success and isinstance(document, dict):
            return document
        if isinstance(document, dict) and isinstance(document.get("code"), str):
            raise self._refusal(response.status_code, document)
        raise Failure(
            "not_alga_server",
            f"The answer of {self._place} is not that of an Alga server of this version"
            f" (status {response.status_code}).",
            hint="Check --server, or ALGA_SERVER_URL.",
        )

    def _refusal(self, status: int, document: dict[str, Any]) -> Failure:
        if status == 401:
            return Failure(
                "unauthorized",
                f"The server at {self._url} refused the admin token.",
                hint=HINTS["unauthorized"],
            )
        fields = document.get("fieldErrors")
        if isinstance(missing := document.get("missing"), list):
            fields = {
                f"schedule {schedule.get('scheduleId')}": f"{schedule.get('method')} {schedule.get('path')}"
                for schedule in missing
                if isinstance(schedule, dict)
            }
        code = str(document["code"])
        fields = fields if isinstance(fields, dict) else {}
        return Failure(
            code,
            f"{str(document.get('error') or 'The server refused').rstrip('.')}.",
            fields={str(key): str(value) for key, value in fields.items()},
            hint=_GRANTS_HINT if "grants" in fields else HINTS.get(code, _OTHER_HINT),
        )


def run(url: str, transport: httpx.AsyncBaseTransport | None, work: Callable[[Admin], Awaitable[T]]) -> T:
    """Run ``work`` with an ``Admin`` of the server at ``url``, and return its result."""

    async def session() -> T:
        async with Admin(url, transport=transport) as admin:
            return await work(admin)

    return run_coroutine(session)


def _verifier(url: str, proxy: Proxy | None) -> ssl.SSLContext:
    """What verifies certificates; without TLS anywhere nothing is read, and none would pass."""
    context = tls_for(url) or (tls_for(str(proxy.url)) if proxy else None)
    return context or ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)


def _tls_fault(error: BaseException | None) -> str | None:
    """Return what TLS found wrong, if that is what ``error`` was raised for."""
    while error is not None:
        if isinstance(error, ssl.SSLCertVerificationError):
            return f"its certificate is not trusted ({error.verify_message})"
        if isinstance(error, ssl.SSLError):
            return str(error.reason).replace("_", " ").lower()
        error = error.__cause__ or error.__context__
    return None


def _token(variable: str) -> str:
    token = os.environ.get(variable, "").strip()
    if not token:
        whose = "gateway" if variable == _GATEWAY_TOKEN else "admin"
        raise Failure(
            "token_missing",
            f"No {whose} token: {variable} is not set.",
            hint=f"Set {variable} to the token of the server; `alga-server serve --dev --print-env` prints one.",
        )
    if not is_header_value(token):
        raise Failure(
            "token_invalid",
            f"{variable} holds characters that a header cannot carry.",
            hint="Copy it again: printable ASCII on one line.",
        )
    return token
