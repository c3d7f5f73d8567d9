"""The source of bundles that the settings name."""

from __future__ import annotations

import os
import re
from pathlib import Path
from urllib.parse import unquote_to_bytes

from pydantic import SecretStr

from alga_common.environment import EnvironmentFault
from alga_common.private_files import user_cache

from ...errors import SettingsError
from ...settings import Settings
from ..folder import FolderBundles
from ..source import BundleSource, MemoryBundles
from .archive_cache import ArchiveCache
from .http_store import HttpStore
from .presign import S3Credentials
from .remote import RemoteBundles

_SCHEME = re.compile(r"[A-Za-z][A-Za-z0-9+.-]*")
_HINT = "Give a folder, as a path or a file:// URL, or the http(s) URL of an object store."


def bundle_source(settings: Settings) -> BundleSource:
    """The source that the setting ``bundle_store`` names: a folder, as a path or a ``file://`` URL, or an http(s) URL.

    Without one, an empty source. Raises ``SettingsError``. Nothing is opened yet.
    """
    source = _source(settings)
    if settings.signatures == "off":
        return source
    if not settings.signing_trust_bundle:
        raise SettingsError(
            f"The setting {Settings.named('signatures')} is {settings.signatures}, and there is no trust bundle.",
            hint="Set SIGNING_TRUST_BUNDLE to a file of trusted keys; `alga-runner keygen` prints the line of one.",
        )
    from ..signatures import SignedBundles, TrustBundle  # noqa: PLC0415 - cryptography takes 30 ms to load

    trust = TrustBundle.load(Path(settings.signing_trust_bundle), Settings.named("signing_trust_bundle"))
    return SignedBundles(source, trust, required=settings.signatures == "require")


def _source(settings: Settings) -> BundleSource:
    base = settings.bundle_store
    if not base:
        return MemoryBundles()
    scheme, separator, rest = base.partition("://")
    if not separator or not _SCHEME.fullmatch(scheme):
        return FolderBundles(Path(base), entries=settings.bundle_entries)
    if scheme.lower() in {"http", "https"}:
        return _remote(base, settings)
    return FolderBundles(_folder(scheme, rest), entries=settings.bundle_entries)


def _folder(scheme: str, rest: str) -> Path:
    host, slash, path = rest.partition("/")
    if scheme.lower() != "file":
        fault = f"{scheme}:// is not a kind of store"
    elif host.lower() not in {"", "localhost"} or not slash:
        fault = "a file:// URL has three slashes before its path"
    elif set("?#") & set(path):
        fault = "a question mark or # in a file:// URL is no part of its path; write %3F or %23"
    else:
        encoded = (slash + path).encode("utf-8", "surrogateescape")
        return Path(os.fsdecode(unquote_to_bytes(encoded)))
    raise SettingsError(f"The setting {Settings.named('bundle_store')} cannot be used: {fault}.", hint=_HINT)


def _remote(base: str, settings: Settings) -> RemoteBundles:
    try:
        store = HttpStore(base, _credentials(settings))
    except EnvironmentFault as fault:
        raise SettingsError.of(fault) from None
    except ValueError as fault:
        raise SettingsError(
            f"The setting {Settings.named('bundle_store')} cannot be used: it {fault}.", hint=_HINT
        ) from None
    return RemoteBundles(
        store,
        _cache(settings),
        entries=settings.bundle_entries,
        timeout_s=settings.bundle_fetch_timeout_ms / 1000,
    )


def _credentials(settings: Settings) -> S3Credentials | None:
    access_key, secret_key = _text(settings.s3_access_key), _text(settings.s3_secret_key)
    if bool(access_key) != bool(secret_key):
        given, missing = ("s3_access_key", "s3_secret_key")[:: 1 if access_key else -1]
        raise SettingsError(
            f"The setting {Settings.named(given)} is there, and not {Settings.named(missing)}.",
            hint="Set both, or neither for a store that is read without signatures.",
        )
    return S3Credentials(access_key, secret_key, settings.s3_region) if access_key else None


def _text(secret: SecretStr | None) -> str:
    return "" if secret is None else secret.get_secret_value()


def _cache(settings: Settings) -> ArchiveCache | None:
    if settings.bundle_cache == "off":
        return None
    folder = Path(settings.bundle_cache).absolute() if settings.bundle_cache else user_cache("bundles")
    return None if folder is None else ArchiveCache(folder / "archives", settings.bundle_cache_max_bytes)
