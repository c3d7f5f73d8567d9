"""What is published: extensions and their versions, the same for every tenant."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import Connection, select

from ..schedules.validation import storable
from ..storage import tables


@dataclass(frozen=True, slots=True)
class Version:
    """One version of an extension; it never changes."""

    version_id: str
    version: str
    content_hash: str
    capabilities: Sequence[str]
    created_at: datetime


@dataclass(frozen=True, slots=True)
class Extension:
    """One extension; ``publisher`` is empty when its manifest names none, ``versions`` are oldest first."""

    extension_id: str
    publisher: str
    name: str
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
    return [Extension(row.id, row.publisher, row.name, _versions(connection, row.id)) for row in rows]


def _versions(connection: Connection, extension_id: str) -> list[Version]:
    table = tables.version.c
    query = (
        select(table.id, table.version, table.content_hash, table.capabilities, table.created_at)
        .where(table.extension_id == extension_id)
        .order_by(table.ordinal)
    )
    return [Version(*row) for row in connection.execute(query)]
