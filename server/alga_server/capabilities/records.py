"""Records that one install stores: a value and metadata under a namespace and a key (alga-contract 4, "Storage").

Functions take a connection and run in its transaction. Every query names the tenant and the install. A writer holds the
install's row (``installs.for_caller`` with ``lock``), so limits and revisions hold under any load. A record past
its time is as good as absent; writers and the reconciler delete it.
"""

from __future__ import annotations

import json
from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any, NamedTuple, Protocol

from sqlalchemy import ColumnElement, Connection, Row, Select, and_, delete, func, insert, or_, select, update

from ..errors import LimitExceeded, NotFound, RevisionMismatch, StorageFull
from ..storage import locks, tables

MAX_VALUE_BYTES = 64 * 1024
MAX_METADATA_BYTES = 4 * 1024
MAX_BULK_BYTES = 512 * 1024
MAX_NAMESPACES = 32
MAX_RECORDS = 5_120
"""In one namespace."""
MAX_TOTAL_BYTES = 256 * 1024 * 1024
"""Of all values and metadata of one install."""

PAGE_BYTES = 1024 * 1024
"""A page ends before its values and metadata are larger than this, after one record at least."""

_PURGED_BY_WRITER = 100
_PURGED_AT_ONCE = 1_000


class RecordOwner(Protocol):
    """An install; ``catalog.installs.Install`` is one."""

    @property
    def tenant_id(self) -> str:
        """The tenant that owns the install."""

    @property
    def install_id(self) -> str:
        """The install."""


class Owner(NamedTuple):
    """An install by its ids."""

    tenant_id: str
    install_id: str


@dataclass(frozen=True, slots=True)
class Change:
    """A record to write: it replaces all of the one before, its time included.

    With ``if_revision`` only if the record has that revision.
    """

    key: str
    value: Any
    metadata: dict[str, Any] = field(default_factory=dict)
    ttl: timedelta | None = None
    if_revision: int | None = None


@dataclass(frozen=True, slots=True)
class Record:
    """One record. ``revision`` is 1 when its key is new, and one more with each put."""

    namespace: str
    key: str
    revision: int
    value: Any
    metadata: dict[str, Any]
    expires_at: datetime | None
    created_at: datetime
    updated_at: datetime


@dataclass(frozen=True, slots=True)
class Page:
    """Records in the order of their keys, not read yet; the next page begins after ``cursor``, if there is one."""

    content: Select[Any] | None
    size_bytes: int
    """Of the values that are read."""
    cursor: str | None

    def read(self, connection: Connection) -> list[Record]:
        """Return the records."""
        return [] if self.content is None else [_record(row) for row in connection.execute(self.content)]


def get(connection: Connection, owner: RecordOwner, namespace: str, key: str, *, now: datetime) -> Record:
    """One record. Raises ``NotFound``."""
    table = tables.storage_record
    query = select(table).where(_of(owner), table.c.namespace == namespace, table.c.key == key)
    row = connection.execute(query.where(_lives(now))).one_or_none()
    if row is None:
        raise NotFound("Record not found")
    return _record(row)


def page(
    connection: Connection,
    owner: RecordOwner,
    namespace: str,
    *,
    after: str,
    limit: int,
    values: bool,
    now: datetime,
) -> Page:
    """Up to ``limit`` records whose keys come after ``after``, which is empty for the first page.

    Without ``values`` those of the records are ``None``.
    """
    table = tables.storage_record
    these = and_(_of(owner), table.c.namespace == namespace, _lives(now))
    query = select(table.c.key, table.c.size_bytes).where(these, table.c.key > after)
    keys = connection.execute(query.order_by(table.c.key).limit(limit + 1)).all()
    fitting, total = 0, 0
    for row in keys[:limit]:
        size = row.size_bytes if values else 0
        if fitting and total + size > PAGE_BYTES:
            break
        fitting, total = fitting + 1, total + size
    if not fitting:
        return Page(None, 0, None)
    last = keys[fitting - 1].key
    columns = [column for column in table.c if values or column is not table.c.value]
    content: Select[Any] = (
        select(*columns).where(these, table.c.key > after, table.c.key <= last).order_by(table.c.key)
    )
    # The last key that was shown: the next page skips no record (alga-contract 7, fault 24).
    return Page(content, total, last if fitting < len(keys) else None)


def put(
    connection: Connection, owner: RecordOwner, namespace: str, changes: Sequence[Change], *, now: datetime
) -> list[Record]:
    """Write all of ``changes``, whose keys differ, or none.

    Raises ``LimitExceeded``, ``RevisionMismatch``, ``StorageFull``.
    """
    rows = [_checked_row(owner, namespace, change, now) for change in changes]
    if len(rows) > 1 and (total := sum(row["size_bytes"] for row in rows)) > MAX_BULK_BYTES:
        raise LimitExceeded(f"Bulk too large ({total} bytes, max {MAX_BULK_BYTES})")
    _purge(connection, owner, now, _PURGED_BY_WRITER)
    stored = _stored(connection, owner, namespace, [change.key for change in changes])
    expired = [row for row in stored.values() if row.expires_at is not None and row.expires_at <= now]
    _remove(connection, owner, expired)
    for gone in expired:
        del stored[gone.key]
    for row, change in zip(rows, changes, strict=True):
        before = stored.get(change.key)
        revision = before.revision if before else None
        if change.if_revision is not None and change.if_revision != revision:
            raise RevisionMismatch(
                f"The record has revision {revision}" if before else "There is no such record"
            )
        if before:
            row |= {"revision": before.revision + 1, "created_at": before.created_at}
    grown = sum(row["size_bytes"] for row in rows) - sum(row.size_bytes for row in stored.values())
    _count(connection, owner, namespace, records=len(rows) - len(stored), size=grown, now=now)
    table = tables.storage_record
    if new := [row for row in rows if row["key"] not in stored]:
        connection.execute(insert(table), new)
    for row in rows:
        if row["key"] in stored:
            this = and_(_of(owner), table.c.namespace == namespace, table.c.key == row["key"])
            connection.execute(update(table).where(this).values(row))
    return [
        Record(
            namespace,
            change.key,
            row["revision"],
            change.value,
            change.metadata,
            row["expires_at"],
            row["created_at"],
            now,
        )
        for row, change in zip(rows, changes, strict=True)
    ]


def remove(connection: Connection, owner: RecordOwner, namespace: str, key: str, *, now: datetime) -> None:
    """Delete one record. Raises ``NotFound``."""
    _purge(connection, owner, now, _PURGED_BY_WRITER)
    stored = _stored(connection, owner, namespace, [key])
    _remove(connection, owner, stored.values())
    if not stored or any(row.expires_at is not None and row.expires_at <= now for row in stored.values()):
        raise NotFound("Record not found")


def expired_owners(connection: Connection, now: datetime) -> list[Owner]:
    """Some of the installs that have records past their time."""
    record = tables.storage_record.c
    query = select(record.tenant_id, record.install_id).where(record.expires_at <= now)
    return [Owner(*row) for row in connection.execute(query.distinct().limit(100))]


def purge(connection: Connection, owner: RecordOwner, now: datetime) -> int:
    """Delete records of the install that are past their time, a batch at most; return how many."""
    locks.change_install(connection, owner.tenant_id, owner.install_id)
    return _purge(connection, owner, now, _PURGED_AT_ONCE)


def _purge(connection: Connection, owner: RecordOwner, now: datetime, most: int) -> int:
    table = tables.storage_record
    query: Select[Any] = select(table.c.namespace, table.c.key, table.c.size_bytes).where(
        _of(owner), table.c.expires_at <= now
    )
    rows = connection.execute(query.limit(most)).all()
    _remove(connection, owner, rows)
    return len(rows)


def _stored(
    connection: Connection, owner: RecordOwner, namespace: str, keys: Collection[str]
) -> dict[str, Row[Any]]:
    """The rows of these keys, expired ones too."""
    table = tables.storage_record
    columns = (
        table.c.namespace,
        table.c.key,
        table.c.revision,
        table.c.size_bytes,
        table.c.expires_at,
        table.c.created_at,
    )
    query: Select[Any] = select(*columns).where(
        _of(owner), table.c.namespace == namespace, table.c.key.in_(keys)
    )
    return {row.key: row for row in connection.execute(query)}


def _remove(connection: Connection, owner: RecordOwner, rows: Iterable[Row[Any]]) -> None:
    """Delete these rows, and count them off their namespaces."""
    sizes: dict[str, dict[str, int]] = {}
    for row in rows:
        sizes.setdefault(row.namespace, {})[row.key] = row.size_bytes
    record, space = tables.storage_record, tables.storage_namespace
    for namespace, of_keys in sizes.items():
        keys = record.c.key.in_(of_keys)
        connection.execute(delete(record).where(_of(owner), record.c.namespace == namespace, keys))
        this = and_(_of(owner, space), space.c.namespace == namespace)
        connection.execute(
            update(space)
            .where(this)
            .values(
                record_count=space.c.record_count - len(of_keys),
                total_bytes=space.c.total_bytes - sum(of_keys.values()),
            )
        )
        connection.execute(delete(space).where(this, space.c.record_count <= 0))


def _count(
    connection: Connection, owner: RecordOwner, namespace: str, *, records: int, size: int, now: datetime
) -> None:
    """Count ``records`` more of ``size`` more bytes to the namespace. Raises ``StorageFull`` if they have no room."""
    space = tables.storage_namespace
    query: Select[Any] = select(space.c.namespace, space.c.record_count, space.c.total_bytes)
    used = {row.namespace: row for row in connection.execute(query.where(_of(owner, space)))}
    here = used.get(namespace)
    kept = here.record_count if here else 0
    total = sum(row.total_bytes for row in used.values())
    if (
        (here is None and len(used) >= MAX_NAMESPACES)
        or (records and kept + records > MAX_RECORDS)
        or (size > 0 and total + size > MAX_TOTAL_BYTES)
    ):
        _refuse_if_full(connection, owner, namespace, used, records=records, size=size, now=now)
    if here is None:
        row = {"tenant_id": owner.tenant_id, "install_id": owner.install_id, "namespace": namespace}
        connection.execute(insert(space).values(**row, record_count=records, total_bytes=size))
        return
    connection.execute(
        update(space)
        .where(_of(owner, space), space.c.namespace == namespace)
        .values(record_count=kept + records, total_bytes=here.total_bytes + size)
    )


def _refuse_if_full(
    connection: Connection,
    owner: RecordOwner,
    namespace: str,
    used: dict[str, Row[Any]],
    *,
    records: int,
    size: int,
    now: datetime,
) -> None:
    """Raise ``StorageFull`` unless there is room once the records past their time are left out."""
    table = tables.storage_record
    query = select(table.c.namespace, func.count(), func.sum(table.c.size_bytes))
    expired = {
        name: (count, total)
        for name, count, total in connection.execute(
            query.where(_of(owner), table.c.expires_at <= now).group_by(table.c.namespace)
        )
    }
    living = {
        name: (
            row.record_count - expired.get(name, (0, 0))[0],
            row.total_bytes - expired.get(name, (0, 0))[1],
        )
        for name, row in used.items()
    }
    if namespace not in used and sum(count > 0 for count, _ in living.values()) >= MAX_NAMESPACES:
        raise StorageFull(f"Too many namespaces (max {MAX_NAMESPACES} per extension install)")
    if records and living.get(namespace, (0, 0))[0] + records > MAX_RECORDS:
        raise StorageFull(f"Too many keys (max {MAX_RECORDS} per namespace)")
    if size > 0 and sum(total for _, total in living.values()) + size > MAX_TOTAL_BYTES:
        raise StorageFull(f"Storage full (max {MAX_TOTAL_BYTES} bytes per extension install)")


def _checked_row(owner: RecordOwner, namespace: str, change: Change, now: datetime) -> dict[str, Any]:
    value, value_bytes = _json(change.value)
    metadata, metadata_bytes = _json(change.metadata)
    if value_bytes > MAX_VALUE_BYTES:
        raise LimitExceeded(f"Value too large ({value_bytes} bytes of JSON, max {MAX_VALUE_BYTES})")
    if metadata_bytes > MAX_METADATA_BYTES:
        raise LimitExceeded(f"Metadata too large ({metadata_bytes} bytes of JSON, max {MAX_METADATA_BYTES})")
    return {
        "tenant_id": owner.tenant_id,
        "install_id": owner.install_id,
        "namespace": namespace,
        "key": change.key,
        "revision": 1,
        "value": value,
        "metadata": metadata,
        "size_bytes": value_bytes + metadata_bytes,
        "expires_at": None if change.ttl is None else now + change.ttl,
        "created_at": now,
        "updated_at": now,
    }


def _json(value: Any) -> tuple[str, int]:
    """``value`` as JSON in ASCII, and its bytes as JSON in UTF-8, which the limits count."""
    plain = json.dumps(value, ensure_ascii=False, separators=(",", ":"))
    return json.dumps(value, separators=(",", ":")), len(plain.encode())


def _record(row: Row[Any]) -> Record:
    return Record(
        row.namespace,
        row.key,
        row.revision,
        json.loads(row.value) if "value" in row._fields else None,
        json.loads(row.metadata),
        row.expires_at,
        row.created_at,
        row.updated_at,
    )


def _lives(now: datetime) -> ColumnElement[bool]:
    expires_at = tables.storage_record.c.expires_at
    return or_(expires_at.is_(None), expires_at > now)


def _of(owner: RecordOwner, table: Any = tables.storage_record) -> ColumnElement[bool]:
    return and_(table.c.tenant_id == owner.tenant_id, table.c.install_id == owner.install_id)
