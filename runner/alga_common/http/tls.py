"""Whose certificates a client accepts: those of the environment, else the authorities that certifi lists."""

from __future__ import annotations

import re
import ssl
from pathlib import Path

import httpx

from ..environment import EnvironmentFault, variable

_HASHED = re.compile(r"[0-9a-f]{8}\.[0-9]+")


def tls_context() -> ssl.SSLContext:
    """A context that verifies servers against ``SSL_CERT_FILE``, else ``SSL_CERT_DIR``, else certifi's authorities.

    Raises ``EnvironmentFault`` for one that cannot be used: OpenSSL itself would take a missing folder without a word.
    """
    file, folder = variable("SSL_CERT_FILE"), variable("SSL_CERT_DIR")
    try:
        if file is not None:
            _check(file)
            return ssl.create_default_context(cafile=file)
        if folder is not None:
            _check_folder(folder)
            return ssl.create_default_context(capath=folder)
        return httpx.create_ssl_context(trust_env=False)
    except ssl.SSLError:
        raise EnvironmentFault(
            f"SSL_CERT_FILE names {file}, which holds no certificate.", hint="It is a file in PEM format."
        ) from None
    except OSError as error:
        raise EnvironmentFault(
            f"SSLKEYLOGFILE names a file that cannot be written: {error.strerror}.", hint="Unset it."
        ) from None


def tls_for(url: str) -> ssl.SSLContext | None:
    """A context for an https URL, ``None`` for another. Raises ``EnvironmentFault``."""
    return tls_context() if url.strip().lower().startswith("https:") else None


def _check(file: str) -> None:
    try:
        with Path(file).open("rb") as opened:
            opened.read(1)
    except OSError as error:
        raise EnvironmentFault(
            f"SSL_CERT_FILE names {file}, which cannot be read: {error.strerror}.",
            hint="Name a file of certificates in PEM format, or unset it.",
        ) from None


def _check_folder(folder: str) -> None:
    try:
        names = [path.name for path in Path(folder).iterdir()]
    except OSError as error:
        raise EnvironmentFault(
            f"SSL_CERT_DIR names {folder}, which cannot be read: {error.strerror}.",
            hint="Name a folder of certificates, or unset it.",
        ) from None
    if not any(map(_HASHED.fullmatch, names)):
        raise EnvironmentFault(
            f"SSL_CERT_DIR names {folder}, which has no certificate under its hash.",
            hint=f"`openssl rehash {folder}` gives each certificate there such a name.",
        )
