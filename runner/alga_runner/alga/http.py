"""The Alga server over HTTP: one bounded exchange per host call."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from functools import lru_cache
from time import monotonic

import anyio
import httpx
from pydantic import SecretStr
from pydantic_core import from_json

from alga_common.http.response import HttpProtocolError
from alga_common.http.transport import HOLDER, MAX_ANSWER_BYTES, Connections

from ..errors import HostCallCode, HostCallError, SettingsError
from ..models import CreateScheduleInput, EndpointInfo, ScheduleInfo, UpdateScheduleInput
from . import answers
from .dialects import AlgaDialect, Dialect
from .port import AlgaServer, Identity

_READS = frozenset({"list", "get", "getEndpoints"})
_HEADER_VALUE = re.compile(r"[!-~](?:[ -~]{0,510}[!-~])?")
_KEPT_URLS = 1024
_NO_HTTPX_TIMEOUT = {"timeout": {"connect": None, "read": None, "write": None, "pool": None}}


class HttpAlgaServer(AlgaServer):
    """An Alga server at ``base_url``, asked in ``dialect``.

    Each exchange, from connecting to the last byte, takes at most ``timeout_s`` seconds and never outlasts the
    deadline. Redirects are not followed, the environment's proxies not used, cookies not kept. Reads are asked
    again once when a connection was lost before any answer, writes only when none could be made. Requests go to
    a transport of its own; a ``client`` that is given carries them instead, and stays its owner's to close.

    Raises ``SettingsError`` for a URL or token that cannot be used; the token is never shown.
    """

    def __init__(
        self,
        base_url: str,
        token: SecretStr,
        *,
        timeout_s: float = 30.0,
        client: httpx.AsyncClient | None = None,
        dialect: Dialect | None = None,
        connections: Connections | None = None,
    ) -> None:
        self._base_url = normalised_base_url(base_url)
        self._timeout_s = timeout_s
        self._dialect = dialect or AlgaDialect()
        self._client = client
        self._connections = connections or Connections()
        self._closed = False
        self._url = lru_cache(maxsize=_KEPT_URLS)(self._parsed_url)
        if not _HEADER_VALUE.fullmatch(token.get_secret_value()):
            raise SettingsError(
                "The token for the Alga server cannot travel in an HTTP header.",
                hint="RUNNER_STORAGE_API_TOKEN takes visible ASCII characters, without a line break at its end.",
            )
        self._headers = (
            (b"host", httpx.URL(self._base_url).netloc),
            (b"accept", b"application/json"),
            (b"accept-encoding", b"identity"),
            (b"content-type", b"application/json"),
            (b"user-agent", b"alga-runner"),
            (b"x-runner-auth", token.get_secret_value().encode()),
        )

    def __repr__(self) -> str:
        return f"{type(self).__name__}({self._base_url!r})"

    async def list_schedules(self, identity: Identity, deadline: float) -> list[ScheduleInfo]:
        """The install's schedules, oldest first."""
        return answers.schedules(await self._ask("list", {}, identity, deadline))

    async def get_schedule(
        self, identity: Identity, schedule_id: str, deadline: float
    ) -> ScheduleInfo | None:
        """One schedule; ``None`` when this install has none with that id."""
        return answers.schedule(await self._ask("get", {"scheduleId": schedule_id}, identity, deadline))

    async def create_schedule(
        self,
        identity: Identity,
        schedule: CreateScheduleInput,
        deadline: float,
        *,
        idempotency_key: str | None = None,
    ) -> str:
        """Create ``schedule``; the new schedule's id."""
        members = schedule.model_dump(by_alias=True, exclude_none=True)
        if idempotency_key is not None:
            members["idempotencyKey"] = idempotency_key
        return answers.created_id(await self._ask("create", members, identity, deadline))

    async def update_schedule(
        self, identity: Identity, changes: UpdateScheduleInput, deadline: float
    ) -> None:
        """Change what ``changes`` gives; an unknown id is ``not-found``."""
        members = {**changes.changes(), "scheduleId": changes.schedule_id}
        answers.done(await self._ask("update", members, identity, deadline))

    async def delete_schedule(self, identity: Identity, schedule_id: str, deadline: float) -> None:
        """Delete one schedule; an unknown id is ``not-found``."""
        answers.done(await self._ask("delete", {"scheduleId": schedule_id}, identity, deadline))

    async def get_endpoints(self, identity: Identity, deadline: float) -> list[EndpointInfo]:
        """The endpoints of the installed version, ordered by path."""
        return answers.endpoints(await self._ask("getEndpoints", {}, identity, deadline))

    async def aclose(self) -> None:
        """Close the connections; a client that was given is left alone."""
        self._closed = True
        await self._connections.aclose()

    async def _ask(
        self, operation: str, members: Mapping[str, object], identity: Identity, deadline: float
    ) -> Mapping[str, object]:
        """The document of a good answer; every other outcome raises ``HostCallError``."""
        url = self._url(operation, identity.require_install())
        content = _json_bytes(self._dialect.document(operation, members))
        headers = [
            *self._headers,
            *_identity_headers(identity),
            (b"content-length", str(len(content)).encode()),
        ]
        if self._closed or (self._client is not None and self._client.is_closed):
            raise HostCallError(HostCallCode.UNAVAILABLE, "The runner has left the Alga server.")
        patience = min(self._timeout_s, deadline - monotonic())
        if patience > 0:
            with anyio.move_on_after(patience):
                return await self._exchange(
                    url, headers, content, tenant_id=identity.tenant_id, safe=operation in _READS
                )
        raise HostCallError(
            HostCallCode.TIMEOUT, f"The Alga server did not answer {operation} in the time there was."
        )

    async def _exchange(
        self,
        url: httpx.URL,
        headers: list[tuple[bytes, bytes]],
        content: bytes,
        *,
        tenant_id: str,
        safe: bool,
    ) -> Mapping[str, object]:
        again = True
        extensions = {**_NO_HTTPX_TIMEOUT, HOLDER: tenant_id}
        while True:
            # Headers and stream as they are: httpx would work out the same at many times the cost.
            request = httpx.Request(
                "POST", url, headers=headers, stream=httpx.ByteStream(content), extensions=extensions
            )
            try:
                response = await self._send(request)
            except httpx.HTTPError as error:
                if again and (isinstance(error, httpx.ConnectError) or (safe and _was_lost(error))):
                    again = False
                    continue
                raise _broken(error) from None
            try:
                return await _read(response)
            finally:
                with anyio.CancelScope(shield=True):
                    await response.aclose()

    async def _send(self, request: httpx.Request) -> httpx.Response:
        if self._client is None:
            return await self._connections.handle_async_request(request)
        return await self._client.send(request, auth=None, follow_redirects=False, stream=True)

    def _parsed_url(self, operation: str, install_id: str) -> httpx.URL:
        return httpx.URL(self._base_url + self._dialect.path(operation, install_id))


def normalised_base_url(url: str) -> str:
    """``url`` without trailing slashes and without one ``/api`` at its end (alga-contract 4).

    Raises ``SettingsError`` unless it is an http or https URL without credentials, query and fragment.
    """
    hint = "STORAGE_API_BASE_URL is like https://alga.example."
    try:
        parsed = httpx.URL(url.strip())
    except httpx.InvalidURL:
        raise SettingsError("The Alga server's base URL is not a URL.", hint=hint) from None
    if parsed.scheme not in {"http", "https"} or not parsed.host:
        raise SettingsError("The Alga server's base URL is not an http or https URL.", hint=hint)
    if parsed.userinfo or parsed.query or parsed.fragment:
        raise SettingsError(
            "The Alga server's base URL carries credentials, a query or a fragment.", hint=hint
        )
    return str(parsed).rstrip("/").removesuffix("/api").rstrip("/")


def _identity_headers(identity: Identity) -> list[tuple[bytes, bytes]]:
    headers: list[tuple[bytes, bytes]] = []
    for name, value in (
        (b"x-alga-tenant", identity.tenant_id),
        (b"x-alga-extension", identity.extension_id),
        (b"x-ext-install-id", identity.install_id),
        (b"x-request-id", identity.request_id),
        (b"x-alga-execution-token", identity.execution_token),
    ):
        if value is None:
            continue
        if not _HEADER_VALUE.fullmatch(value):
            raise HostCallError(
                HostCallCode.INTERNAL, f"The execution's {name.decode()} cannot travel in a header."
            )
        headers.append((name, value.encode()))
    return headers


_encoder = json.JSONEncoder(allow_nan=False, ensure_ascii=False, separators=(",", ":"))


def _json_bytes(document: Mapping[str, object]) -> bytes:
    try:
        return _encoder.encode(document).encode()
    except (ValueError, TypeError, RecursionError):
        raise HostCallError(HostCallCode.VALIDATION_FAILED, "The request has no form in JSON.") from None


async def _read(response: httpx.Response) -> Mapping[str, object]:
    body = await _body(response)
    try:
        document = from_json(body, allow_inf_nan=False)
    except ValueError:
        document = None
    if response.status_code >= 400 or (isinstance(document, dict) and document.get("success") is False):
        raise answers.refused(response.status_code, document, response.headers.get("retry-after"))
    if response.status_code >= 300:
        raise answers.garbled(f"is a redirect (HTTP {response.status_code}), which is never followed")
    if not isinstance(document, dict):
        raise answers.garbled("is not a JSON object")
    return document


async def _body(response: httpx.Response) -> bytes:
    if response.headers.get("content-encoding", "identity").lower() != "identity":
        raise answers.garbled("is compressed, which was not asked for")
    length = response.headers.get("content-length", "")
    if length.isdigit() and (len(length) > 9 or int(length) > MAX_ANSWER_BYTES):
        raise answers.garbled(f"is larger than {MAX_ANSWER_BYTES} bytes")
    if response.is_stream_consumed:  # a client's hook or a transport without streams has read it already
        return response.content
    if isinstance(response.stream, httpx.ByteStream):  # whole, as ``Connections`` gives it
        whole = b"".join(response.stream)
        if len(whole) > MAX_ANSWER_BYTES:
            raise answers.garbled(f"is larger than {MAX_ANSWER_BYTES} bytes")
        return whole
    body = bytearray()
    try:
        async for part in response.aiter_raw():
            body += part
            if len(body) > MAX_ANSWER_BYTES:
                raise answers.garbled(f"is larger than {MAX_ANSWER_BYTES} bytes")
    except (httpx.HTTPError, httpx.StreamError):
        raise answers.garbled("breaks off in the middle") from None
    return bytes(body)


def _was_lost(error: httpx.HTTPError) -> bool:
    """The connection ended before any byte of an answer."""
    return isinstance(error, httpx.ReadError | httpx.WriteError)


def _broken(error: httpx.HTTPError) -> HostCallError:
    # The texts of httpx's own errors are left out: they may quote a header, and the token is one.
    if isinstance(error, HttpProtocolError):
        return answers.garbled(str(error))
    if isinstance(error, httpx.ConnectError):
        return HostCallError(HostCallCode.UNAVAILABLE, "The Alga server cannot be reached.")
    if _was_lost(error):
        return HostCallError(
            HostCallCode.UNAVAILABLE,
            "The connection to the Alga server was lost before it answered; whether it acted is unknown.",
        )
    return HostCallError(
        HostCallCode.INTERNAL, f"The exchange with the Alga server failed ({type(error).__name__})."
    )
