"""The registry of Alga's server: which tenant has an extension installed, and which one a host belongs to.

Each question takes 750 ms at most; its answer, a failure included, is used again for 45 s (alga-contract 2). One that
found no connection in time was not asked, and soon is.
"""

from __future__ import annotations

import logging
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from time import monotonic, time
from typing import Any

import anyio
import httpx
from pydantic_core import from_json

from alga_common.fair_limiter import share
from alga_common.http.exchange import Answer, send
from alga_common.http.semantics import is_id
from alga_common.http.transport import OWNER, Header, SocketTransport
from alga_common.wire import is_tenant_id

from ...errors import SettingsError
from ...models import parse_content_hash
from ...settings import Settings
from .kept_answers import KEPT_S, Given, KeptAnswers
from .registry_key import KeyFile

TIME_LIMIT_S = 0.75
NOT_ASKED_KEPT_S = 1.0
"""How long the answer to a question that was not asked is used."""

_MAX_ANSWER_BYTES = 64 * 1024
_CONCURRENT = 32
_UNKNOWN = ""
"""The owner of all questions that no install was the answer to: anyone can make up tenants and hosts."""

logger = logging.getLogger("alga_runner")


@dataclass(frozen=True, slots=True)
class Install:
    """The extension that a host belongs to."""

    tenant: str
    extension: str
    content_hash: str


@dataclass(frozen=True, slots=True)
class HostAnswer:
    """What the registry knows of a host: an install, or the status with which a visitor is answered."""

    install: Install | None
    status: int = 200


class Registry:
    """Asks the registry at ``origin``, showing the key that ``read_key`` gives; without an origin every answer is no.

    ``transport`` replaces the sockets; ``clock`` gives seconds.
    """

    def __init__(
        self,
        origin: httpx.URL | None,
        read_key: Callable[[], Awaitable[str]],
        *,
        transport: httpx.AsyncBaseTransport | None = None,
        clock: Callable[[], float] = monotonic,
    ) -> None:
        self._origin = origin
        self._read_key = read_key
        # Each connection is for one exchange, so none is left to close.
        self._transport = transport or SocketTransport(
            _CONCURRENT, share(_CONCURRENT), max_answer_bytes=_MAX_ANSWER_BYTES, resolve=_by_name
        )
        self._installed: KeptAnswers[bool] = KeptAnswers(clock)
        self._hosts: KeptAnswers[HostAnswer] = KeptAnswers(clock)

    @classmethod
    def of(
        cls,
        settings: Settings,
        *,
        transport: httpx.AsyncBaseTransport | None = None,
        clock: Callable[[], float] = monotonic,
    ) -> Registry:
        """The registry of ``settings``. Raises ``SettingsError`` for a URL that cannot be used."""
        return cls(_origin(settings), _key_reader(settings, clock), transport=transport, clock=clock)

    async def is_installed(self, tenant: str, extension: str, content_hash: str) -> bool:
        """Whether the tenant has that version of the extension; no answer counts as no."""
        question = tenant, extension, content_hash

        async def ask() -> Given[bool]:
            query = {"tenant": tenant, "extension": extension, "hash": content_hash}
            owner = tenant if self._installed.is_known(question) else _UNKNOWN
            answer, kept_s = await self._ask("/api/installs/validate", query, owner)
            valid = answer is not None and _is_good(answer) and _document(answer).get("valid") is True
            return Given(valid, valid, kept_s)

        return await self._installed.get(question, ask)

    async def of_host(self, host: str) -> HostAnswer:
        """The install that ``host`` belongs to; else 503 without a registry, 502 without an answer, or 404."""

        async def ask() -> Given[HostAnswer]:
            owner = host if self._hosts.is_known(host) else _UNKNOWN
            answer, kept_s = await self._ask("/api/installs/lookup-by-host", {"host": host}, owner)
            if answer is None:
                return Given(HostAnswer(None, 502), False, kept_s)
            if not _is_good(answer):
                return Given(HostAnswer(None, 404), False, kept_s)
            install = _install(_document(answer))
            return Given(HostAnswer(install, 200 if install else 502), install is not None, kept_s)

        if self._origin is None:
            return HostAnswer(None, 503)
        return await self._hosts.get(host, ask)

    async def _ask(self, path: str, query: dict[str, str], owner: str) -> tuple[Answer | None, float]:
        """The registry's answer, or none, and how long that is used.

        Owners share the connections fairly: a tenant or a host with an install, and all others together.
        """
        if self._origin is None:
            return None, KEPT_S
        ts = str(round(time() * 1000))
        url = self._origin.copy_with(path=path, params={**query, "ts": ts})
        headers = [
            (b"host", url.netloc),
            (b"accept", b"application/json"),
            (b"accept-encoding", b"identity"),
            (b"user-agent", b"alga-runner"),
        ]
        with anyio.move_on_after(TIME_LIMIT_S):
            if key := await self._read_key():
                headers.append((b"x-api-key", key.encode()))
            try:
                return await send(self._transport, _request(url, headers, owner), _MAX_ANSWER_BYTES), KEPT_S
            except httpx.PoolTimeout:
                logger.warning("Too many questions for the registry", extra={"action": "registry_not_asked"})
                return None, NOT_ASKED_KEPT_S
            except httpx.HTTPError as error:
                logger.warning(
                    "The registry did not answer: %s",
                    type(error).__name__,
                    extra={"action": "registry_failed"},
                )
                return None, KEPT_S
        logger.warning(
            "The registry did not answer within %g s", TIME_LIMIT_S, extra={"action": "registry_failed"}
        )
        return None, KEPT_S


def _origin(settings: Settings) -> httpx.URL | None:
    """Scheme, host and port of the setting: its path is replaced, not joined (alga-contract 2)."""
    if not settings.registry_url:
        return None
    try:
        url = httpx.URL(settings.registry_url.strip())
    except httpx.InvalidURL:
        url = httpx.URL()
    if url.scheme not in {"http", "https"} or not url.host or url.userinfo:
        raise SettingsError(
            f"The setting {Settings.named('registry_url')} is not the URL of a server.",
            hint="It is like https://alga.example, without credentials.",
        )
    return url.copy_with(path="/", query=None, fragment=None)


def _key_reader(settings: Settings, clock: Callable[[], float]) -> Callable[[], Awaitable[str]]:
    """Gives the key for each question: the setting, or what the file holds; empty without either."""
    key = settings.registry_key.get_secret_value() if settings.registry_key else ""
    file = KeyFile(Path(settings.registry_key_file), clock)

    async def read() -> str:
        return key or await file.read()

    return read


def _request(url: httpx.URL, headers: list[Header], owner: str) -> httpx.Request:
    extensions = {"timeout": {"pool": TIME_LIMIT_S / 2}, OWNER: owner}
    return httpx.Request("GET", url, headers=headers, stream=httpx.ByteStream(b""), extensions=extensions)


def _install(document: dict[str, Any]) -> Install | None:
    tenant, extension, named = (document.get(name) for name in ("tenant_id", "extension_id", "content_hash"))
    if not (isinstance(tenant, str) and isinstance(extension, str) and isinstance(named, str)):
        return None
    try:
        content_hash = parse_content_hash(named)
    except ValueError:
        return None
    return Install(tenant, extension, content_hash) if is_tenant_id(tenant) and is_id(extension) else None


def _document(answer: Answer) -> dict[str, Any]:
    try:
        document = from_json(answer.body)
    except ValueError:
        return {}
    return document if isinstance(document, dict) else {}


def _is_good(answer: Answer) -> bool:
    return 200 <= answer.status < 300


async def _by_name(request: httpx.Request) -> Sequence[str]:
    return (request.url.host,)
