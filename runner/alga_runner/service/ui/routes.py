"""``GET /ext-ui/{extension}/{content hash}/{path}``: a file of an extension's pages; ``GET /``: the way to them.

The checks and answers are the contract's (alga-contract 2), without its faults: a tenant is remembered for assets only
once its install was found valid, in a bounded number (section 7, fault 6); one setting decides whether installs are
validated (7); only the file that a URL names may be cached (15, 19).
"""

from __future__ import annotations

import re
from collections import OrderedDict
from urllib.parse import parse_qs, quote, urlencode

from pydantic_core import to_json

from alga_common.http.semantics import is_id
from alga_common.wire import is_tenant_id

from ...errors import AlgaError, BundleHashMismatch, SettingsError
from ...runner import Runner
from ...settings import Settings
from ..http import Answer, Exchange
from .assets import INDEX, Asset, PageCache, Pages
from .paths import clean_path
from .registry import Registry

PREFIX = "/ext-ui/"

MAX_HINTS = 10_000
"""Tenants that are remembered for assets; the one unused for longest is forgotten first."""

_HASH = re.compile(r"sha256:[0-9A-Fa-f]{1,128}")
_HOST = re.compile(r"[A-Za-z0-9._-]{1,253}|\[[0-9A-Fa-f:.]{2,45}\]")
_SENDABLE = re.compile(r"[ -~]{0,4096}")
_TEXT = b"text/plain; charset=utf-8"
_ACTIVE = {b"text/html", b"image/svg+xml"}
"""Types whose content a browser may execute."""

_IMMUTABLE = b"public, max-age=31536000, immutable"
_POLICY = (
    "default-src 'self'; script-src 'self'; style-src 'self' 'unsafe-inline'; img-src 'self' data:; "
    "font-src 'self'; connect-src 'self'; object-src 'none'; base-uri 'self'; form-action 'self'"
)


class Ui:
    """The two routes, for the bundles of ``runner``."""

    def __init__(self, runner: Runner, settings: Settings, registry: Registry) -> None:
        self._registry = registry
        self._strict = settings.ui_strict_validation
        self._max_file_bytes = settings.ui_max_file_bytes
        self._pages = PageCache(runner.fetch_bundle, max_bytes=settings.ui_cache_max_bytes)
        self._policy = _policy(settings)
        self._hints: OrderedDict[tuple[str, str], str] = OrderedDict()
        """By extension and content hash, which alone a page's scripts and styles are asked for with."""

    async def home(self, exchange: Exchange) -> Answer:
        """Send the visitor of a host to the pages that it belongs to."""
        host = _host(exchange)
        if not host:
            return _text(400, "missing host")
        answer = await self._registry.of_host(host)
        if answer.install is None:
            return _text(answer.status, "no extension for this host")
        install = answer.install
        query = urlencode({"tenant": install.tenant, "extensionId": install.extension})
        path = f"{PREFIX}{quote(install.extension, safe='')}/{quote(install.content_hash, safe=':')}/{INDEX}"
        return Answer(307, b"", _TEXT, headers=((b"location", f"{path}?{query}".encode()),))

    async def asset(self, exchange: Exchange) -> Answer:
        """One file of an extension's pages."""
        try:
            extension, content_hash, path = _named(exchange)
            tenant = await self._tenant(exchange, extension, content_hash)
            pages = await self._load(tenant, extension, content_hash)
            self._remember(extension, content_hash, tenant)
            return self._file(exchange, pages, path)
        except _Ended as ended:
            return ended.answer

    async def _load(self, tenant: str, extension: str, content_hash: str) -> Pages:
        """The pages of the tenant's bundle, if its install is valid. Raises ``_Ended``."""
        if self._strict and not await self._registry.is_installed(tenant, extension, content_hash):
            raise _ended(404, "not found")
        try:
            return await self._pages.get((tenant, extension, content_hash), is_install=self._strict)
        except BundleHashMismatch as error:
            body = to_json({"code": "archive_hash_mismatch"})
            raise _Ended(Answer(502, body, outcome=error.code)) from None
        except AlgaError as error:
            raise _Ended(Answer(500, to_json({"code": "extract_failed"}), outcome=error.code)) from None

    def _file(self, exchange: Exchange, pages: Pages, path: str) -> Answer:
        """The file at ``path``, or the index in place of one that is not there. Raises ``_Ended``."""
        clean = clean_path(path)
        if clean is None:
            raise _ended(400, "invalid path")
        named = pages.files.get(clean)
        asset = named or pages.files.get(INDEX)
        if asset is None:
            raise _ended(404, "not found")
        if self._max_file_bytes is not None and len(asset.content) > self._max_file_bytes:
            raise _ended(413, "asset too large")
        return self._answer(exchange, asset, is_named=named is not None)

    def _answer(self, exchange: Exchange, asset: Asset, *, is_named: bool) -> Answer:
        """The file, or 304 if the visitor has it. The index may be cached under its own name alone."""
        cache_control = _IMMUTABLE if is_named else b"no-store"
        headers = [(b"etag", asset.etag), (b"x-content-type-options", b"nosniff")]
        if asset.content_type in _ACTIVE:
            headers.append((b"content-security-policy", self._policy))
        known = [tag.strip() for tag in exchange.value(b"if-none-match").split(b",")]
        if asset.etag in known or b"*" in known:
            return Answer(304, b"", asset.content_type, tuple(headers), cache_control=cache_control)
        return Answer(200, asset.content, asset.content_type, tuple(headers), cache_control=cache_control)

    async def _tenant(self, exchange: Exchange, extension: str, content_hash: str) -> str:
        """Whose pages are asked for: the query's tenant, the header's, the page's own, or that of the host.

        Raises ``_Ended`` 404.
        """
        asked = parse_qs(exchange.query.decode("latin-1")).get("tenant", [""])[0]
        tenant = asked or exchange.value(b"x-tenant-id").decode("latin-1")
        tenant = tenant or self._hints.get((extension, content_hash), "")
        if not tenant and (host := _host(exchange)):
            install = (await self._registry.of_host(host)).install
            tenant = install.tenant if install else ""
        if not is_tenant_id(tenant):
            raise _ended(404, "not found")
        exchange.tenant_id = tenant
        return tenant

    def _remember(self, extension: str, content_hash: str, tenant: str) -> None:
        key = extension, content_hash
        self._hints[key] = tenant
        self._hints.move_to_end(key)
        if len(self._hints) > MAX_HINTS:
            self._hints.popitem(last=False)


class _Ended(Exception):
    """The request is answered, before its file was found."""

    def __init__(self, answer: Answer) -> None:
        super().__init__()
        self.answer = answer


def _ended(status: int, text: str) -> _Ended:
    return _Ended(_text(status, text))


def _named(exchange: Exchange) -> tuple[str, str, str]:
    """Extension, content hash and path of the URL. Raises ``_Ended``."""
    extension, _, rest = exchange.path.removeprefix(PREFIX).partition("/")
    named, slash, path = rest.partition("/")
    if not slash:
        raise _ended(404, "not found")
    if not _HASH.fullmatch(named):
        raise _ended(400, "invalid content hash")
    if not is_id(extension):
        raise _ended(404, "not found")
    exchange.extension_id = extension
    return extension, named.lower(), path


def _policy(settings: Settings) -> bytes:
    """The pages' policy. Raises ``SettingsError`` for one that no header can hold."""
    for name in ("ui_content_security_policy", "ui_frame_ancestors"):
        if not _SENDABLE.fullmatch(getattr(settings, name) or ""):
            raise SettingsError(
                f"The setting {Settings.named(name)} cannot be sent in an HTTP header.",
                hint="It takes visible ASCII characters and spaces, 4,096 at most, and no line break.",
            )
    if settings.ui_content_security_policy:
        return settings.ui_content_security_policy.strip().encode()
    ancestors = settings.ui_frame_ancestors
    return (_POLICY + (f"; frame-ancestors {ancestors.strip()}" if ancestors else "")).encode()


def _host(exchange: Exchange) -> str:
    """The host that the visitor asked for, without a port; empty without one, or with two."""
    values = exchange.values(b"host")
    text = values[0].decode("latin-1") if len(values) == 1 else ""
    host, colon, port = text.rpartition(":")
    if not colon or not port.isdigit():
        host = text
    return host.lower() if _HOST.fullmatch(host) else ""


def _text(status: int, text: str) -> Answer:
    return Answer(status, text.encode(), _TEXT, outcome=text)
