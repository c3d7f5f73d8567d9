"""One bounded exchange over any ``httpx`` transport: sockets, an application in this process, a scripted server."""

from __future__ import annotations

from collections.abc import Iterable
from functools import cached_property
from time import monotonic

import anyio
import httpx

from ..fair_limiter import FOREVER
from ..wire import retry_after_s
from .response import AnswerTooLarge, HttpProtocolError, IncompleteResponse, headers_in
from .transport import OWNER, Head, Header, SocketTransport


class Answer:
    """A whole response."""

    def __init__(self, status: int, headers: httpx.Headers | bytes, body: bytes) -> None:
        """``headers`` may be lines, as ``ResponseReader`` has them."""
        self.status = status
        self.body = body
        self._headers = headers

    @cached_property
    def headers(self) -> httpx.Headers:
        """Made when they are asked for, which they are not of most good answers."""
        headers = self._headers
        return httpx.Headers(headers_in(headers)) if isinstance(headers, bytes) else headers

    def __repr__(self) -> str:
        return f"{type(self).__name__}(status={self.status}, headers={self.headers!r}, body={self.body!r})"

    def retry_after_s(self) -> int | None:
        """``Retry-After`` in its seconds form."""
        return retry_after_s(self.headers.get("retry-after"))


async def post(
    transport: httpx.AsyncBaseTransport,
    head: Head,
    content: bytes,
    *,
    headers: Iterable[Header] = (),
    owner: str,
    max_answer_bytes: int,
    pool_timeout_s: float | None = None,
    until: float = FOREVER,
) -> Answer:
    """Send ``content`` once and read the whole answer.

    The headers of ``head`` and ``headers`` are sent as given, with the content's length. Redirects are not followed,
    the environment's proxies not used, cookies not kept. Raises ``TimeoutError`` at ``until``, a reading of
    ``time.monotonic()``; ``httpx.ConnectError`` when no connection could be made, ``HttpProtocolError`` for an answer
    that cannot be used, and the transport's other ``httpx.HTTPError``.
    """
    others = [*headers, (b"content-length", b"%d" % len(content))]
    if isinstance(transport, SocketTransport):
        response = await transport.post(
            head,
            others,
            content,
            owner=owner,
            max_answer_bytes=max_answer_bytes,
            pool_timeout_s=pool_timeout_s,
            until=until,
        )
        if (codings := response.values(b"content-encoding")) and codings != [b"identity"] * len(codings):
            raise _coded()
        return Answer(response.status, response.header_lines, bytes(response.body))
    request = httpx.Request(
        head.method,
        head.url,
        headers=[*head.headers, *others],
        stream=httpx.ByteStream(content),
        extensions={"timeout": {"pool": pool_timeout_s}, OWNER: owner},
    )
    if until == FOREVER:
        return await send(transport, request, max_answer_bytes)
    with anyio.fail_after(until - monotonic()):
        return await send(transport, request, max_answer_bytes)


async def get(
    transport: httpx.AsyncBaseTransport, url: httpx.URL, headers: Iterable[Header], *, max_answer_bytes: int
) -> Answer:
    """Request ``url`` once and read the whole answer, like ``post``."""
    request = httpx.Request("GET", url, headers=list(headers), stream=httpx.ByteStream(b""))
    return await send(transport, request, max_answer_bytes)


async def send(
    transport: httpx.AsyncBaseTransport,
    request: httpx.Request,
    max_answer_bytes: int,
    *,
    may_be_coded: bool = False,
) -> Answer:
    """Send ``request`` as it is and read the whole answer, like ``post``.

    Its body is as it came; one with a content coding is an error unless it ``may_be_coded``.
    """
    response = await transport.handle_async_request(request)
    assert isinstance(response.stream, httpx.AsyncByteStream)  # noqa: S101 - httpx's contract of transports
    try:
        if not may_be_coded and response.headers.get("content-encoding", "identity").lower() != "identity":
            raise _coded()
        return Answer(response.status_code, response.headers, await _body(response.stream, max_answer_bytes))
    finally:
        with anyio.CancelScope(shield=True):
            await response.stream.aclose()


def _coded() -> HttpProtocolError:
    return HttpProtocolError("is compressed, which was not requested")


async def _body(stream: httpx.AsyncByteStream, max_bytes: int) -> bytes:
    parts, size = [], 0
    try:
        async for part in stream:
            size += len(part)
            if size > max_bytes:
                raise AnswerTooLarge(max_bytes)
            parts.append(part)
    except HttpProtocolError:
        raise
    except (httpx.HTTPError, httpx.StreamError):
        raise IncompleteResponse from None
    return b"".join(parts)


def base_url(text: str) -> str:
    """``text`` without spaces around it and slashes at its end.

    Raises ``ValueError`` unless it is an http or https URL of a host and perhaps a path; the message completes "The URL
    ..." and does not quote it.
    """
    try:
        url = httpx.URL(text.strip())
    except httpx.InvalidURL:
        raise ValueError("is not a URL") from None
    if url.scheme not in {"http", "https"} or not url.host:
        raise ValueError("is not an http or https URL")
    if url.userinfo or url.query or url.fragment:
        raise ValueError("has credentials, a query or a fragment")
    return str(url).rstrip("/")
