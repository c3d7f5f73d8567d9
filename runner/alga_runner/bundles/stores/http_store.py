"""An object store that is read over HTTP, by plain or by presigned requests."""

from __future__ import annotations

import re
from collections.abc import Awaitable, Callable
from datetime import UTC, datetime
from http import HTTPStatus
from urllib.parse import unquote

import anyio
import httpx

from alga_common.http.exchange import Answer, base_url, send
from alga_common.http.response import AnswerTooLarge, HttpProtocolError
from alga_common.http.tls import tls_for
from alga_common.http.transport import MAX_ANSWER_BYTES, OWNER, SocketTransport
from alga_common.readiness import OK, Finding
from alga_common.wire import MAX_ARCHIVE_BYTES

from ...errors import BundleDownloadFailed, BundleError, BundleNotFound
from ..source import STORE_CHECK, UNREACHABLE
from .presign import S3Credentials, encoded_path, presigned

FETCH_FAILED = "verify_archive_sha256 fetch failed"
"""How the contract's text about a failed download begins (alga-contract 1.3)."""

MAX_CONNECTIONS = 8
MAX_CONNECTIONS_PER_TENANT = 2

PAUSES_S = (0.1, 0.4, 1.6)
"""Before each further attempt."""

REACHABLE_S = 1.0
"""How long a store may take to show that it is there (alga-contract 2)."""

_TRANSIENT = frozenset({408, 425, 429, 500, 502, 503, 504})
_MISSING = frozenset({404, 410})
_MAX_ERROR_BYTES = 64 * 1024
_ERROR_CODE = re.compile(rb"<Code>([A-Za-z0-9]{1,64})</Code>")
_FAULTS = {
    b"SignatureDoesNotMatch": (
        "The bundle store refuses the runner's signature.",
        "Correct S3_SECRET_KEY; if a proxy is in between, it must keep the host header.",
    ),
    b"InvalidAccessKeyId": (
        "The bundle store does not know the runner's access key.",
        "Correct S3_ACCESS_KEY.",
    ),
    b"NoSuchBucket": (
        "The bundle store has no such bucket.",
        "Create it, or correct BUNDLE_STORE_BASE: the bucket is the first segment of its path.",
    ),
    b"RequestTimeTooSkewed": (
        "The clocks of the bundle store and of this machine differ.",
        "Set both by NTP.",
    ),
}
_FINE = frozenset({b"NoSuchKey", b"AccessDenied"})
"""Codes about a key that need not be there: the second one where keys may not be listed."""
_HINTS = {
    301: "The store is elsewhere: correct BUNDLE_STORE_BASE and S3_REGION.",
    307: "The store is elsewhere: correct BUNDLE_STORE_BASE and S3_REGION.",
    401: "The store wants signatures: set S3_ACCESS_KEY and S3_SECRET_KEY.",
    403: "The store refuses the runner: `alga-runner doctor` shows why.",
}


class HttpStore:
    """Objects below ``base``. With ``credentials`` each request is presigned, else it is plain.

    The bucket of a store that has some is the first segment of the base's path. ``transport`` replaces the sockets,
    ``pause`` waits between attempts, ``now`` is the clock that signatures are made by. Raises ``ValueError`` for a base
    that is no http or https URL of a host and a path, and ``EnvironmentFault`` for certificates that cannot be used.
    """

    def __init__(
        self,
        base: str,
        credentials: S3Credentials | None = None,
        *,
        transport: httpx.AsyncBaseTransport | None = None,
        pause: Callable[[float], Awaitable[None]] = anyio.sleep,
        now: Callable[[], datetime] = lambda: datetime.now(UTC),
    ) -> None:
        self._base = httpx.URL(base_url(base))
        self._credentials = credentials
        self._pause = pause
        self._now = now
        tls = None if transport else tls_for(base)
        self._transport = transport or SocketTransport(
            MAX_CONNECTIONS, MAX_CONNECTIONS_PER_TENANT, max_answer_bytes=MAX_ARCHIVE_BYTES, tls=tls
        )
        # Checks have a connection of their own: they are answered when downloads use all the others.
        self._check_transport = transport or SocketTransport(1, 1, max_answer_bytes=_MAX_ERROR_BYTES, tls=tls)

    async def read(self, key: str, owner: str, max_bytes: int = MAX_ARCHIVE_BYTES) -> bytes:
        """The object ``key``, for the tenant ``owner``. Raises ``BundleNotFound``, ``BundleDownloadFailed``."""
        content = await self.read_small(key, owner, max_bytes)
        if content is None:
            raise BundleDownloadFailed(f"{FETCH_FAILED}: the object has more than {max_bytes} bytes")
        return content

    async def read_small(self, key: str, owner: str, max_bytes: int) -> bytes | None:
        """The object, ``None`` if it has more than ``max_bytes``, of which then no more are read.

        Raises as ``read`` does.
        """
        answer = await self._ask("GET", key, owner, max_bytes)
        if answer is None:
            return None
        if answer.status != 200:
            raise _failure(answer.status)
        return answer.body if len(answer.body) <= max_bytes else None

    async def require(self, key: str, owner: str) -> None:
        """Ask for the object ``key`` without reading it. Raises what ``read`` raises."""
        answer = await self._ask("HEAD", key, owner, 0)
        if answer is not None and answer.status != 200:
            raise _failure(answer.status)

    async def reachable(self) -> bool:
        """Whether anything answers that can: one HEAD of the base, at most ``REACHABLE_S``."""
        with anyio.move_on_after(REACHABLE_S):
            try:
                answer = await send(self._check_transport, self._request("HEAD", ""), _MAX_ERROR_BYTES)
            except httpx.HTTPError:
                return False
            return answer.status < 500
        return False

    async def check(self, key: str) -> Finding:
        """Ask for ``key``, which need not be there, and tell a wrong key or bucket from an object that is missing."""
        answer: Answer | None = None
        with anyio.move_on_after(REACHABLE_S):
            try:
                answer = await send(self._check_transport, self._request("GET", key), _MAX_ERROR_BYTES)
            except httpx.HTTPError as error:
                if isinstance(error, HttpProtocolError):
                    return Finding(
                        STORE_CHECK, UNREACHABLE, f"The bundle store's answer {error}.", _ADDRESS_HINT
                    )
        if answer is None or answer.status >= 500:
            sentence = "The bundle store cannot be reached."
            if answer is not None:
                sentence = f"The bundle store answers with HTTP {answer.status}."
            return Finding(STORE_CHECK, UNREACHABLE, sentence, _ADDRESS_HINT)
        code = _ERROR_CODE.search(answer.body)
        if code is not None and code[1] in _FAULTS:
            return Finding(STORE_CHECK, "refused", *_FAULTS[code[1]])
        if answer.status in {401, 403} and self._credentials is None:
            hint = "Set S3_ACCESS_KEY and S3_SECRET_KEY."
            return Finding(
                STORE_CHECK, "refused", "The bundle store refuses requests without a signature.", hint
            )
        if code is not None and code[1] not in _FINE:
            sentence = f"The bundle store refuses the runner's request: {code[1].decode()}."
            return Finding(
                STORE_CHECK, "refused", sentence, "Correct S3_ACCESS_KEY, S3_SECRET_KEY and S3_REGION."
            )
        return Finding(STORE_CHECK, OK, "The bundle store answers, and accepts the runner's requests.")

    async def aclose(self) -> None:
        """Close the connections."""
        await self._transport.aclose()
        await self._check_transport.aclose()

    async def _ask(self, method: str, key: str, owner: str, max_bytes: int) -> Answer | None:
        """The last attempt's answer; ``None`` if it is larger than was asked for. Raises ``BundleDownloadFailed``."""
        for pause_s in (*PAUSES_S, None):
            try:
                most = max(max_bytes, _MAX_ERROR_BYTES)
                answer = await send(self._transport, self._request(method, key, owner, most), most)
                if answer.status not in _TRANSIENT or pause_s is None:
                    return answer
            except httpx.HTTPError as error:
                if isinstance(error, AnswerTooLarge) and 0 < max_bytes < MAX_ARCHIVE_BYTES:
                    return None
                if pause_s is None:
                    raise BundleDownloadFailed(f"{FETCH_FAILED}: {_why(error)}") from None
            await self._pause(pause_s)
        raise AssertionError

    def _request(self, method: str, key: str, owner: str = "", most: int = _MAX_ERROR_BYTES) -> httpx.Request:
        path = encoded_path("/" + "/".join(filter(None, [unquote(self._base.path).strip("/"), key])))
        url = self._base.copy_with(raw_path=path.encode("ascii"))
        if self._credentials is not None:
            url = presigned(self._credentials, method, url, self._now())
        headers = [(b"host", url.netloc), (b"accept-encoding", b"identity"), (b"user-agent", b"alga-runner")]
        stream, extensions = httpx.ByteStream(b""), {OWNER: owner, MAX_ANSWER_BYTES: most}
        return httpx.Request(method, url, headers=headers, stream=stream, extensions=extensions)


_ADDRESS_HINT = "Start it, or correct BUNDLE_STORE_BASE."


def _why(error: httpx.HTTPError) -> str:
    """The reason for operators; an httpx error's own text may quote a URL, and with it a signature."""
    if isinstance(error, HttpProtocolError):
        return f"the bundle store's answer {error}"
    return "the bundle store cannot be reached"


def _failure(status: int) -> BundleError:
    """The error for an answer that is no object, in the contract's words."""
    try:
        text = f"{FETCH_FAILED}: {status} {HTTPStatus(status).phrase}"
    except ValueError:
        text = f"{FETCH_FAILED}: {status}"
    if status in _MISSING:
        return BundleNotFound(text, hint="Publish the extension for this tenant first.")
    return BundleDownloadFailed(text, hint=_HINTS.get(status))
