"""Routes of the host's user interface that extensions may call (alga-contract 4, ui-proxy).

Two of the contract's faults are mended: the secret ``api_key`` goes along only where the install may read secrets
(alga-contract 7, fault 9), which the caller of ``UiProxy.call`` decides, and the configured key authenticates the
runner as ``x-runner-auth`` (fault 21). With it, a guest must not reach the server's internal routes: they are refused.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from http import HTTPStatus
from time import monotonic
from urllib.parse import quote, unquote

import anyio
import httpx
from pydantic import SecretStr

from alga_common.environment import EnvironmentFault
from alga_common.fair_limiter import share
from alga_common.http.exchange import Answer, base_url, send
from alga_common.http.response import AnswerTooLarge, HttpProtocolError
from alga_common.http.semantics import is_header_value
from alga_common.http.tls import tls_for
from alga_common.http.transport import OWNER, Header, SocketTransport

from ..errors import HostCallCode, HostCallError, SettingsError
from ..models import ExecutionContext, User
from ..settings import MIB, Settings

MAX_ROUTE = 8 * 1024
"""Characters of a route."""

MAX_PAYLOAD_BYTES = 4 * MIB
MAX_ANSWER_BYTES = 4 * MIB
_MAX_CONNECTIONS = 50
_DEFAULT_REQUEST_ID = "ui-proxy-call"
_INTERNAL = ("api", "internal")

_CONTROL = re.compile(r"[\x00-\x1f\x7f\\]")
_SAFE = "!$&'()*+,;=:@%-._~"
"""What stays as it is in a segment; a query has ``/`` and ``?`` besides."""


class UiProxy:
    """Calls routes below ``url``. Each call, from connecting to the last byte, takes at most ``timeout_s`` seconds."""

    def __init__(
        self,
        url: str,
        *,
        timeout_s: float = 5.0,
        key: SecretStr | None = None,
        transport: httpx.AsyncBaseTransport | None = None,
    ) -> None:
        self._url = httpx.URL(url)
        self._timeout_s = timeout_s
        self._key = key
        self._transport = transport or SocketTransport(
            _MAX_CONNECTIONS, share(_MAX_CONNECTIONS), max_answer_bytes=MAX_ANSWER_BYTES
        )

    async def call(
        self,
        route: str,
        payload: bytes | None,
        context: ExecutionContext,
        user: User | None,
        *,
        api_key: str | None,
        deadline: float,
    ) -> bytes:
        """The body of the route's good answer. Raises ``HostCallError``.

        Without a payload it is a GET, else a POST of JSON. ``deadline`` is a reading of ``time.monotonic()``.
        """
        headers = [*self._headers(context, user, api_key)]
        if payload is not None:
            headers += [(b"content-type", b"application/json"), (b"content-length", b"%d" % len(payload))]
        request = httpx.Request(
            "GET" if payload is None else "POST",
            self._url.copy_with(raw_path=self._url.raw_path.rstrip(b"/") + _target(route, context)),
            headers=headers,
            stream=httpx.ByteStream(payload or b""),
            extensions={OWNER: context.tenant_id},
        )
        with anyio.move_on_after(min(self._timeout_s, deadline - monotonic())):
            try:
                return _body(await send(self._transport, request, MAX_ANSWER_BYTES))
            except httpx.HTTPError as error:
                raise _failure(error) from None
        raise HostCallError(HostCallCode.TIMEOUT, "The route did not answer in the available time.")

    async def aclose(self) -> None:
        """Close the connections."""
        await self._transport.aclose()

    def _headers(self, context: ExecutionContext, user: User | None, api_key: str | None) -> Iterator[Header]:
        key = self._key.get_secret_value() if self._key is not None else None
        yield b"host", self._url.netloc
        yield b"accept", b"application/json"
        for name, value in (
            (b"x-runner-auth", key),
            (b"x-request-id", context.request_id or _DEFAULT_REQUEST_ID),
            (b"x-alga-tenant", context.tenant_id),
            (b"x-alga-extension", context.extension_id),
            (b"x-ext-install-id", context.install_id),
            (b"x-ext-version-id", context.version_id),
            (b"x-api-key", api_key),
            (b"x-user-id", user and user.user_id),
            (b"x-user-email", user and user.user_email),
        ):
            if not value:
                continue
            if not is_header_value(value):
                raise HostCallError(
                    HostCallCode.INTERNAL,
                    f"The execution's {name.decode()} cannot be sent in an HTTP header.",
                )
            yield name, value.encode()


def connect_ui_proxy(settings: Settings) -> UiProxy | None:
    """The routes that the settings name; ``None`` if they name none. Raises ``SettingsError``."""
    if settings.ui_proxy_url is None:
        return None
    try:
        url = base_url(settings.ui_proxy_url)
        tls_for(url)
    except EnvironmentFault as fault:
        raise SettingsError.of(fault) from None
    except ValueError as error:
        raise SettingsError(
            f"The setting {Settings.named('ui_proxy_url')} {error}.", hint="It is like https://alga.example."
        ) from None
    return UiProxy(url, timeout_s=settings.ui_proxy_timeout_ms / 1000, key=settings.ui_proxy_auth_key)


def _target(route: str, context: ExecutionContext) -> bytes:
    """The route's path below the base, and its query. Raises ``HostCallError``."""
    path, _, query = route.strip().partition("?")
    segments = [segment for segment in path.split("/") if segment]
    plain = [unquote(segment) for segment in segments]
    if not segments or len(route) > MAX_ROUTE:
        raise _bad("is blank" if not segments else f"has more than {MAX_ROUTE} characters")
    if "#" in route or any(_CONTROL.search(text) for text in (*plain, query)):
        raise _bad("has a fragment, a control character or a backslash")
    # A server may unpack escapes twice.
    if any(unquote(segment) in {".", ".."} or "/" in unquote(segment) for segment in plain):
        raise _bad("has a segment that leads elsewhere")
    if tuple(unquote(segment).lower() for segment in plain[:2]) == _INTERNAL:
        raise HostCallError(HostCallCode.DENIED, "The internal routes of the host are not for extensions.")
    if plain[0] != "api":
        segments = [quote(context.extension_id, safe=""), *segments]
    target = "".join(f"/{quote(segment, safe=_SAFE)}" for segment in segments)
    return (f"{target}?{quote(query, safe=_SAFE + '/?')}" if query else target).encode("ascii")


def _bad(fault: str) -> HostCallError:
    return HostCallError(
        HostCallCode.VALIDATION_FAILED, f"The route {fault}.", field_errors={"route": f"It {fault}"}
    )


def _body(answer: Answer) -> bytes:
    status = answer.status
    if status < HTTPStatus.MULTIPLE_CHOICES:
        return answer.body
    if status in {HTTPStatus.UNAUTHORIZED, HTTPStatus.FORBIDDEN}:
        code = HostCallCode.DENIED
    elif status == HTTPStatus.TOO_MANY_REQUESTS:
        code = HostCallCode.RATE_LIMITED
    elif status == HTTPStatus.NOT_FOUND:
        code = HostCallCode.NOT_FOUND
    elif HTTPStatus.BAD_REQUEST <= status < HTTPStatus.INTERNAL_SERVER_ERROR:
        code = HostCallCode.VALIDATION_FAILED
    else:
        code = HostCallCode.INTERNAL
    wait_s = answer.retry_after_s() if code is HostCallCode.RATE_LIMITED else None
    raise HostCallError(
        code,
        f"The route answers with HTTP {status}.",
        retry_after_ms=None if wait_s is None else wait_s * 1000,
        detail=f"HTTP {status}",
    )


def _failure(error: httpx.HTTPError) -> HostCallError:
    # The texts of httpx's own errors are left out: they may quote a header, and keys are among them.
    if isinstance(error, AnswerTooLarge):
        return HostCallError(HostCallCode.TOO_LARGE, f"The route's answer {error}.")
    if isinstance(error, HttpProtocolError):
        return HostCallError(HostCallCode.INTERNAL, f"The route's answer {error}.")
    if isinstance(error, httpx.ConnectError):
        return HostCallError(HostCallCode.UNAVAILABLE, "The host's routes cannot be reached.")
    return HostCallError(
        HostCallCode.UNAVAILABLE,
        "The connection was lost before the route answered; whether it acted is unknown.",
    )
