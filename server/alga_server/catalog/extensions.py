"""Published extensions and their versions: a bundle's content, stored once for all tenants and never changed.

See alga-contract 3.1 and 3.2.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any
from uuid import uuid4

from sqlalchemy import Connection, Row, func, insert, select, update

from alga_common.bundle_layout import MAX_SIGNATURE_BYTES
from alga_common.text import storable
from alga_runner.errors import BundleInvalid, ManifestInvalid
from alga_runner.models import EndpointInfo, content_hash
from alga_runner.models.archive import unpack
from alga_runner.models.manifest import Manifest, check_module_presence, parse_manifest

from ..errors import BundleRefused, VersionExists
from ..schedules.endpoint_ref import endpoints
from ..storage import locks, tables
from .versions import Version, newest, next_patch, precedence, versions_of


@dataclass(frozen=True, slots=True)
class Extension:
    """One extension; ``publisher`` is empty when its manifest names none, ``versions`` are lowest precedence first."""

    extension_id: str
    publisher: str
    name: str
    newest_version_id: str
    versions: Sequence[Version]


def extensions(
    connection: Connection, *, name: str | None = None, extension_id: str | None = None
) -> list[Extension]:
    """Every extension by name, then publisher; or the one with that id, or those with that name, one per publisher."""
    table = tables.extension.c
    query = select(table.id, table.publisher, table.name)
    if name is not None and not storable(name):
        return []
    if name is not None:
        query = query.where(table.name == name)
    if extension_id is not None:
        query = query.where(table.id == extension_id)
    # Not the database's order, which may be a language's.
    rows = sorted(connection.execute(query), key=lambda row: (row.name, row.publisher))
    return [_shown(connection, *row) for row in rows]


def _shown(connection: Connection, extension_id: str, publisher: str, name: str) -> Extension:
    published = versions_of(connection, extension_id)
    ordered = sorted(published, key=lambda version: precedence(version.version))
    return Extension(extension_id, publisher, name, newest(published).version_id, ordered)


@dataclass(frozen=True, slots=True)
class Bundle:
    """A bundle that can be published: its bytes, their hash, its checked manifest, its signature if it has one."""

    archive: bytes
    content_hash: str
    manifest: Manifest
    signature: bytes | None = None


@dataclass(frozen=True, slots=True)
class Published:
    """A version in the registry; ``created`` is false when the same content was there already."""

    extension_id: str
    name: str
    version_id: str
    version: str
    content_hash: str
    capabilities: list[str]
    endpoints: list[EndpointInfo]
    created: bool


def read_bundle(archive: bytes, signature: bytes | None = None) -> Bundle:
    """Unpack and check ``archive``. Costs CPU: not for the event loop. Raises ``BundleRefused`` with the reason.

    Of the ``signature`` only the hash that it is of is compared: which keys count is the runners' business.
    """
    actual = content_hash(archive)
    if signature is not None and _signed_hash(signature) != actual:
        raise BundleRefused("The signature is not one of this bundle.")
    try:
        files = unpack(archive)
        if "manifest.json" not in files:
            raise BundleRefused("The bundle has no manifest.json at its root.")
        manifest = parse_manifest(files["manifest.json"])
        check_module_presence(manifest, files)
    except (BundleInvalid, ManifestInvalid) as error:
        raise BundleRefused(str(error)) from None
    return Bundle(archive, actual, manifest, signature)


def _signed_hash(signature: bytes) -> str | None:
    """The content hash that a signature's document names, if it is one."""
    try:
        document = json.loads(signature) if len(signature) <= MAX_SIGNATURE_BYTES else None
    except (ValueError, RecursionError):
        return None
    named = document.get("contentHash") if isinstance(document, dict) else None
    return named if isinstance(named, str) else None


def publish(connection: Connection, bundle: Bundle, now: datetime) -> Published:
    """Store ``bundle`` as its extension's version. Raises ``VersionExists`` if that version has other content.

    A signature takes the place of an earlier one of the same content.
    """
    locks.alone(connection, "publishing")
    manifest = bundle.manifest
    extension_id = _extension(connection, manifest, now)
    versions = connection.execute(
        select(tables.version).where(tables.version.c.extension_id == extension_id)
    ).all()
    known = next((row for row in versions if row.content_hash == bundle.content_hash), None)
    if known is not None:
        _sign(connection, bundle)
        return _published(connection, manifest, known, created=False)
    number = _version_number(manifest.version, [row.version for row in versions])
    if any(row.version == number for row in versions):
        raise VersionExists(
            f"Version {number} of {manifest.name} is published with other content; versions never change"
        )
    row = _store(connection, bundle, extension_id, number, ordinal=len(versions) + 1, now=now)
    return _published(connection, manifest, row, created=True)


def _extension(connection: Connection, manifest: Manifest, now: datetime) -> str:
    publisher = manifest.publisher or ""
    extension_id: str | None = connection.execute(
        select(tables.extension.c.id).where(
            tables.extension.c.publisher == publisher, tables.extension.c.name == manifest.name
        )
    ).scalar_one_or_none()
    if extension_id is not None:
        return extension_id
    extension_id = str(uuid4())
    connection.execute(
        insert(tables.extension).values(
            id=extension_id, publisher=publisher, name=manifest.name, created_at=now
        )
    )
    return extension_id


def _version_number(declared: str, taken: Sequence[str]) -> str:
    """``declared``, with ``X.Y.*`` made the next patch of that line."""
    return next_patch(declared.removesuffix("*"), taken) if declared.endswith(".*") else declared


def _store(
    connection: Connection, bundle: Bundle, extension_id: str, number: str, *, ordinal: int, now: datetime
) -> Row[Any]:
    stored = select(func.count()).where(tables.bundle.c.content_hash == bundle.content_hash)
    if connection.execute(stored).scalar_one() == 0:
        connection.execute(
            insert(tables.bundle).values(
                content_hash=bundle.content_hash, archive=bundle.archive, created_at=now
            )
        )
    _sign(connection, bundle)
    version_id = str(uuid4())
    connection.execute(
        insert(tables.version).values(
            id=version_id,
            extension_id=extension_id,
            version=number,
            ordinal=ordinal,
            content_hash=bundle.content_hash,
            capabilities=list(bundle.manifest.capabilities),
            created_at=now,
        )
    )
    rows = [
        {
            "id": str(uuid4()),
            "version_id": version_id,
            "method": item.method,
            "path": item.path,
            "handler": item.handler,
        }
        for item in bundle.manifest.endpoints
    ]
    if rows:
        connection.execute(insert(tables.endpoint), rows)
    return connection.execute(select(tables.version).where(tables.version.c.id == version_id)).one()


def _sign(connection: Connection, bundle: Bundle) -> None:
    if bundle.signature is not None:
        its_own = tables.bundle.c.content_hash == bundle.content_hash
        connection.execute(update(tables.bundle).where(its_own).values(signature=bundle.signature))


def _published(connection: Connection, manifest: Manifest, row: Row[Any], *, created: bool) -> Published:
    return Published(
        extension_id=row.extension_id,
        name=manifest.name,
        version_id=row.id,
        version=row.version,
        content_hash=row.content_hash,
        capabilities=list(row.capabilities),
        endpoints=endpoints(connection, row.id),
        created=created,
    )
