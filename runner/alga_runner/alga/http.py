"""The Alga server over HTTP: one bounded exchange per host call."""

from __future__ import annotations

import json
import ssl
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from datetime import datetime
from functools import lru_cache, partial
from time import monotonic

import anyio
import httpx
import msgspec
from pydantic import SecretStr
from pydantic_core import from_json

from alga_common.environment import EnvironmentFault
from alga_common.fair_limiter import share
from alga_common.http import peer
from alga_common.http.exchange import Answer, base_url, get, post
from alga_common.http.response import HttpProtocolError
from alga_common.http.semantics import is_header_value
from alga_common.http.tls import tls_for
from alga_common.http.transport import Head, Header, SocketTransport
from alga_common.readiness import NOT_CHECKED, REFUSED, TIME_LIMIT_S, Finding
from alga_common.sharing.large_work import LargeWorkQueue

from ..errors import HostCallCode, HostCallError, ServerFault, SettingsError
from ..models import ScheduleInfo
from ..models.members import MAX_MEMBERS
from ..settings import Settings
from . import answers
from .calls import CALLS, ServerCall
from .dialects import DIALECTS, AlgaDialect, Dialect
from .json_pieces import JsonPieces
from .port import IDEMPOTENCY_KEY, SERVER_CHECK, AlgaServer, Identity, NoAlgaServer, SchedulePage

MAX_ANSWER_BYTES = 32 * 1024 * 1024
"""Bytes of one answer: fifty schedules, each with a payload of 100,000 characters in escaped JSON, just fit."""

MAX_CONNECTIONS = 200
MAX_CONNECTIONS_PER_TENANT = 50

LARGE_ANSWER_BYTES = 32 * 1024
"""An answer from this size on is read in turns of the tenant's: JSON takes a tenth of a millisecond and more."""

_NOT_CONNECTED = (httpx.ConnectError,)
_LOST = (httpx.ReadError, httpx.WriteError)
"""The connection ended before any byte of an answer."""
_READ_AGAIN = _NOT_CONNECTED + _LOST
_KEPT_HEADS = 1024
"""Heads of requests that are kept: of an operation and an install."""

_CHECK_ROUTE = "/api/internal/ping"
_PEER = peer.Peer(
    name=SERVER_CHECK,
    title="The Alga server",
    token_check="server_token",  # noqa: S106 - the name of a check
    clock_check="server_clock",
    address_variable="STORAGE_API_BASE_URL",
    token_hint="RUNNER_STORAGE_API_TOKEN (else RUNNER_SERVICE_TOKEN) must be the server's ALGA_SERVER_RUNNER_TOKEN.",  # noqa: S106
)


def connect(settings: Settings, large_work: LargeWorkQueue | None = None) -> AlgaServer:
    """A client of the configured server; without one, a server that answers ``unavailable``.

    ``large_work`` reads large answers.

    Raises ``SettingsError`` for a URL or token that cannot be used. Nothing is sent yet.
    """
    if not settings.server_url:
        return NoAlgaServer()
    if settings.server_token is None or not settings.server_token.get_secret_value():
        raise SettingsError(
            f"The setting {Settings.named('server_url')} is there, and no token for that server.",
            hint="Set RUNNER_STORAGE_API_TOKEN to the token the server expects as x-runner-auth.",
        )
    most, per_tenant = settings.max_server_connections, settings.max_server_connections_per_tenant
    return HttpAlgaServer(
        settings.server_url,
        settings.server_token,
        timeout_s=settings.server_timeout_ms / 1000,
        dialect=DIALECTS[settings.server_dialect],
        drop_unknown=settings.server_unknown_members == "drop",
        transport=SocketTransport(
            most,
            share(most) if per_tenant is None else per_tenant,
            max_answer_bytes=MAX_ANSWER_BYTES,
            tls=_tls_for(settings.server_url),
        ),
        large_work=large_work,
    )


class HttpAlgaServer(AlgaServer):
    """An Alga server at ``base_url``, asked in ``dialect``.

    A member of a schedule that servers of the dialect do not understand is ``validation-failed``, or left out with
    ``drop_unknown``.

    Requests go over sockets, or over the ``transport`` that is given, which is closed with the client:
    ``httpx.ASGITransport(app)`` asks a server in this process. Each exchange, from connecting to the last byte, takes
    at most ``timeout_s`` seconds and never outlasts the deadline. A host call is sent again once when no connection
    could be made, a read also when the connection was lost before any answer.

    Raises ``SettingsError`` for a URL or token that cannot be used; the token is never shown.
    """

    def __init__(
        self,
        url: str,
        token: SecretStr,
        *,
        timeout_s: float = 30.0,
        dialect: Dialect | None = None,
        drop_unknown: bool = False,
        transport: httpx.AsyncBaseTransport | None = None,
        large_work: LargeWorkQueue | None = None,
    ) -> None:
        self._base_url = normalised_base_url(url)
        self._timeout_s = timeout_s
        self._dialect = dialect or AlgaDialect()
        tls = None if transport else _tls_for(url)

        self._drop_unknown = drop_unknown
        self.cleared_when_absent = self._dialect.cleared_when_absent
        self.keeps_idempotency_keys = IDEMPOTENCY_KEY in self._dialect.members
        self._transport = transport or SocketTransport(
            MAX_CONNECTIONS,
            MAX_CONNECTIONS_PER_TENANT,
            max_answer_bytes=MAX_ANSWER_BYTES,
            tls=tls,
        )
        # Checks have a connection of their own: they are answered when host calls use all the others.
        self._check_transport = transport or SocketTransport(
            1, 1, max_answer_bytes=peer.MAX_ANSWER_BYTES, tls=tls
        )
        self._large_work = large_work or LargeWorkQueue()
        self._closed = False
        self._sent_token = token.get_secret_value()
        self._head = lru_cache(maxsize=_KEPT_HEADS)(self._made_head)
        if not is_header_value(self._sent_token):
            raise SettingsError(
                "The token for the Alga server cannot be sent in an HTTP header.",
                hint=f"{Settings.named('server_token')} takes visible ASCII characters and no line break.",
            )
        self._headers = (
            (b"host", httpx.URL(self._base_url).netloc),
            (b"accept", b"application/json"),
            (b"accept-encoding", b"identity"),
            (b"content-type", b"application/json"),
            (b"user-agent", b"alga-runner"),
            (b"x-runner-auth", self._sent_token.encode()),
        )

    def __repr__(self) -> str:
        return f"{type(self).__name__}({self._base_url!r})"

    async def ask(
        self, operation: str, members: Mapping[str, object], identity: Identity, deadline: float
    ) -> Mapping[str, object]:
        """The JSON object of the server's good answer; every other outcome raises ``HostCallError``."""
        document, _ = await self._ask(operation, members, identity, deadline)
        return document

    async def list_schedules(self, identity: Identity, deadline: float) -> list[ScheduleInfo]:
        """The install's schedules, oldest first."""
        pages = [page.schedules async for page in self.schedule_pages(identity, deadline)]
        return [schedule for schedules in pages for schedule in schedules]

    async def schedule_pages(self, identity: Identity, deadline: float) -> AsyncIterator[SchedulePage]:
        """The same, in pieces: as many as the server makes of them."""
        members: dict[str, object] = {"paged": True} if self._dialect.pages_schedules else {}
        size_left, count_left = MAX_ANSWER_BYTES, MAX_MEMBERS
        while True:
            document, size = await self._ask("scheduler.list", members, identity, deadline)
            if size < LARGE_ANSWER_BYTES:
                page = SchedulePage(answers.schedules(document))
            else:
                unread = answers.unread_schedules(document)
                page = SchedulePage(
                    [await self._large_work.run(identity.tenant_id, read) for read in unread], large=True
                )
            yield page
            cursor = answers.next_cursor(document) if members else None
            if cursor is None:
                return
            size_left, count_left = size_left - size, count_left - len(page.schedules)
            if not page.schedules or size_left <= 0 or count_left <= 0:
                raise answers.unusable("has no end")
            members = {"paged": True, "cursor": cursor}

    async def _ask(
        self, operation: str, members: Mapping[str, object], identity: Identity, deadline: float
    ) -> tuple[Mapping[str, object], int]:
        """The document of a good answer, and how many bytes it had."""
        call = CALLS[operation]
        install_id = identity.require_install()
        head = self._head(call, install_id, identity.tenant_id, identity.extension_id)
        content = _json_bytes(self._dialect.document(call, members))
        headers = [*identity.trace_headers]
        if identity.request_id:
            headers.append(_header(b"x-request-id", identity.request_id))
        if identity.execution_token:
            headers.append(_header(b"x-alga-execution-token", identity.execution_token))
        if self._closed:
            raise HostCallError(HostCallCode.UNAVAILABLE, "The connection to the Alga server is closed.")
        now = monotonic()
        until = min(now + self._timeout_s, deadline)
        if until <= now:
            raise _late(operation)
        send = partial(
            post,
            self._transport,
            head,
            content,
            headers=headers,
            owner=identity.tenant_id,
            max_answer_bytes=MAX_ANSWER_BYTES,
            until=until,
        )
        retries = _READ_AGAIN if call.is_read else _NOT_CONNECTED
        try:
            try:
                answer = await send()
            except retries:
                answer = await send()
        except TimeoutError:
            raise _late(operation) from None
        except httpx.HTTPError as error:
            raise _failure(error) from None
        if (size := len(answer.body)) < LARGE_ANSWER_BYTES:
            return self._document(answer, call, identity), size
        with anyio.move_on_after(until - monotonic()):
            document = await self._read_in_pieces(answer.body, identity.tenant_id)
            return self._document(answer, call, identity, document), size
        raise _late(operation)

    async def check(self, now: Callable[[], datetime]) -> Sequence[Finding]:
        """Whether the server answers, accepts the token, and has the time of ``now``."""

        async def ask() -> Answer:
            url = httpx.URL(self._base_url + _CHECK_ROUTE)
            return await get(
                self._check_transport, url, self._headers, max_answer_bytes=peer.MAX_ANSWER_BYTES
            )

        findings = await peer.ask_peer(_PEER, ask, _refuses_token, now)
        return [await self._judged(finding) for finding in findings]

    async def _judged(self, finding: Finding) -> Finding:
        """``finding``; where the server, such as Alga's own, has no route for tokens, what a host call shows."""
        if finding.name != _PEER.token_check:
            return finding
        if finding.code != NOT_CHECKED:
            self.token_refused = finding.code == REFUSED
            return finding
        try:
            await self.check_token(monotonic() + TIME_LIMIT_S)
        except HostCallError:
            return peer.refused(_PEER) if self.token_refused else finding
        return peer.accepted(_PEER)

    def understood(self, members: dict[str, object]) -> dict[str, object]:
        """Those of a schedule's ``members`` that servers of the dialect understand."""
        unknown = members.keys() - self._dialect.members
        if not unknown and (self._dialect.stores_arrays or not isinstance(members.get("payload"), list)):
            return members
        faults = (
            {} if self._drop_unknown else dict.fromkeys(sorted(unknown), "The Alga server does not have this")
        )
        if isinstance(members.get("payload"), list) and not self._dialect.stores_arrays:
            faults["payload"] = "The Alga server stores objects only, no arrays"
        if faults:
            raise HostCallError(
                HostCallCode.VALIDATION_FAILED,
                "; ".join(f"{name}: {fault}" for name, fault in faults.items()),
                field_errors=faults,
            )
        return {name: value for name, value in members.items() if name not in unknown}

    async def aclose(self) -> None:
        """Close the connections."""
        self._closed = True
        await self._check_transport.aclose()
        await self._transport.aclose()

    async def _read_in_pieces(self, body: bytes, tenant_id: str) -> object:
        """The JSON in ``body``, whose pieces are work of the tenant's."""
        pieces = JsonPieces(body)
        while await self._large_work.run(tenant_id, pieces.step):
            pass
        return pieces.content

    def _document(
        self, answer: Answer, call: ServerCall, identity: Identity, content: object = ...
    ) -> Mapping[str, object]:
        """The good answer's document; and whether the API accepted the token, where the API answered."""
        try:
            content = answers.document(
                answer, call, (self._sent_token, identity.execution_token or ""), content
            )
        except HostCallError as error:
            if error.fault is not ServerFault.UNUSABLE_ANSWER:
                self.token_refused = error.fault is ServerFault.UNAUTHORIZED
            raise
        self.token_refused = False
        return content

    def _made_head(self, call: ServerCall, install_id: str, tenant_id: str, extension_id: str) -> Head:
        url = httpx.URL(self._base_url + self._dialect.path(call, install_id))
        values = zip(_OF_INSTALL, (tenant_id, extension_id, install_id), strict=True)
        of_install = [_header(name, value) for name, value in values if value]
        return Head("POST", url, [*self._headers, *of_install])


def _refuses_token(answer: Answer) -> bool:
    """Whether the reference server refuses the token. A foreign server's 401 to a route it lacks does not show that."""
    try:
        document = from_json(answer.body)
    except ValueError:
        return False
    code = document.get("code") if isinstance(document, dict) else None
    return answer.status == 401 and isinstance(code, str) and code.lower() == "unauthorized"


def _tls_for(url: str) -> ssl.SSLContext | None:
    try:
        return tls_for(url)
    except EnvironmentFault as fault:
        raise SettingsError.of(fault) from None


def normalised_base_url(url: str) -> str:
    """``url`` without slashes and one ``/api`` at its end (alga-contract 4). Raises ``SettingsError``."""
    try:
        return base_url(url).removesuffix("/api").rstrip("/")
    except ValueError as error:
        raise SettingsError(
            f"The Alga server's base URL {error}.",
            hint=f"{Settings.named('server_url')} is like https://alga.example.",
        ) from None


_OF_INSTALL = (b"x-alga-tenant", b"x-alga-extension", b"x-ext-install-id")


def _header(name: bytes, value: str) -> Header:
    """Raises ``HostCallError`` for a value that no header can carry."""
    if not is_header_value(value):
        raise HostCallError(
            HostCallCode.INTERNAL, f"The execution's {name.decode()} cannot be sent in an HTTP header."
        )
    return name, value.encode()


_encode = msgspec.json.Encoder().encode
_encode_strictly = json.JSONEncoder(allow_nan=False, ensure_ascii=False, separators=(",", ":")).encode


def _json_bytes(document: Mapping[str, object]) -> bytes:
    """``document`` as JSON. msgspec takes a tenth of the time, and writes a number that is not finite as null."""
    try:
        content = _encode(document)
        return _encode_strictly(document).encode() if b"null" in content else content
    except (ValueError, TypeError, OverflowError, RecursionError):
        raise HostCallError(
            HostCallCode.VALIDATION_FAILED, "The request cannot be written as JSON."
        ) from None


def _late(operation: str) -> HostCallError:
    return HostCallError(
        HostCallCode.TIMEOUT, f"The Alga server did not answer {operation} in the available time."
    )


def _failure(error: httpx.HTTPError) -> HostCallError:
    # The texts of httpx's own errors are left out: they may quote a header, and the token is one.
    if isinstance(error, HttpProtocolError):
        return answers.unusable(str(error), HostCallCode.UNAVAILABLE)
    if isinstance(error, httpx.ConnectError):
        return HostCallError(HostCallCode.UNAVAILABLE, "The Alga server cannot be reached.")
    if isinstance(error, _LOST):
        return HostCallError(
            HostCallCode.UNAVAILABLE,
            "The connection to the Alga server was lost before it answered; whether it acted is unknown.",
        )
    return HostCallError(
        HostCallCode.INTERNAL, f"The exchange with the Alga server failed ({type(error).__name__})."
    )
