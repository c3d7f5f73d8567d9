"""What extensions store, by namespace and key (alga-contract 4, "Storage")."""

from __future__ import annotations

from datetime import timedelta
from typing import Annotated, Any, Literal

from pydantic import Field, field_validator
from sqlalchemy import Connection

from ...capabilities import records
from ...capabilities.records import Change, Record
from ...catalog.installs import Install
from ...errors import Unauthorized
from ...schedules.schedules import rfc3339
from ..dependencies import Services
from ..schemas import Output
from .call import Api, Body, Operation, Reply, Unread
from .requests import Asked, Json, Storable, Whole, read

MIN_TTL_S = 60
MAX_TTL_S = 30 * 24 * 60 * 60
MAX_BULK_ITEMS = 20

_Namespace = Annotated[Storable, Field(min_length=1, max_length=128)]
_Key = Annotated[Storable, Field(min_length=1, max_length=256, pattern=r"^[^/]+$")]


class _Content(Asked):
    """What a put writes."""

    key: _Key
    value: Json
    metadata: Annotated[dict[str, Any] | None, Json] = None
    ttl_seconds: Annotated[Whole, Field(ge=MIN_TTL_S, le=MAX_TTL_S)] | None = None
    if_revision: Annotated[Whole, Field(ge=0)] | None = None

    @property
    def change(self) -> Change:
        """As ``records`` writes it."""
        ttl = None if self.ttl_seconds is None else timedelta(seconds=self.ttl_seconds)
        return Change(self.key, self.value, self.metadata or {}, ttl, self.if_revision)


class Get(Asked):
    """The record with this key."""

    operation: Literal["get"]
    namespace: _Namespace
    key: _Key


class Put(_Content):
    """A record to write, in place of the one before; with ``ifRevision`` only in place of that revision."""

    operation: Literal["put"]
    namespace: _Namespace


class Delete(Asked):
    """A record to delete."""

    operation: Literal["delete"]
    namespace: _Namespace
    key: _Key


class List(Asked):
    """The records of a namespace by key, after the one that ``cursor`` names."""

    operation: Literal["list"]
    namespace: _Namespace
    include_values: bool = False
    include_metadata: bool = False
    cursor: Annotated[Storable, Field(max_length=256)] | None = None
    limit: Annotated[Whole, Field(ge=1, le=100)] | None = None


class BulkItem(_Content):
    """One of several records to write."""


class BulkPut(Asked):
    """Records to write, all or none."""

    operation: Literal["bulkPut"]
    namespace: _Namespace
    items: Annotated[list[BulkItem], Field(min_length=1, max_length=MAX_BULK_ITEMS)]

    @field_validator("items")
    @classmethod
    def _keys_differ(cls, items: list[BulkItem]) -> list[BulkItem]:
        if len({item.key for item in items}) < len(items):
            raise ValueError("Each key may be there once")
        return items


REQUESTS = (Get, Put, Delete, List, BulkPut)


class RecordWritten(Output):
    """A record without its value."""

    namespace: str
    key: str
    revision: int
    ttl_expires_at: str | None
    created_at: str
    updated_at: str


class RecordFound(RecordWritten):
    """A record."""

    value: Any
    metadata: dict[str, Any]


class RecordListed(RecordWritten):
    """A record of a list; value and metadata where they were asked for."""

    value: Any = None
    metadata: dict[str, Any] = Field(default_factory=dict)


class RecordsListed(Output):
    """A page of records; the next begins after ``nextCursor``."""

    items: list[RecordListed]
    next_cursor: str | None


class BulkWritten(Output):
    """The records that were written."""

    namespace: str
    items: list[dict[str, Any]]


def _get(services: Services, connection: Connection, install: Install, body: Body) -> Reply:
    asked = read(Get, body)
    now = services.clock.now()
    record = records.get(connection, install, asked.namespace, asked.key, now=now)
    return Reply({**_written(record), "value": record.value, "metadata": record.metadata})


def _put(services: Services, connection: Connection, install: Install, body: Body) -> Reply:
    asked = read(Put, body)
    [record] = records.put(connection, install, asked.namespace, [asked.change], now=services.clock.now())
    return Reply(_written(record))


def _delete(services: Services, connection: Connection, install: Install, body: Body) -> Reply:
    asked = read(Delete, body)
    # An absent key is 404, which a runner tells its guest as missing (alga-contract 7, fault 25).
    records.remove(connection, install, asked.namespace, asked.key, now=services.clock.now())
    return Reply({"success": True})


def _list(services: Services, connection: Connection, install: Install, body: Body) -> Unread:
    asked = read(List, body)
    page = records.page(
        connection,
        install,
        asked.namespace,
        after=asked.cursor or "",
        limit=asked.limit or 25,
        values=asked.include_values,
        now=services.clock.now(),
    )

    def content() -> Reply:
        items = [
            _written(record)
            | ({"value": record.value} if asked.include_values else {})
            | ({"metadata": record.metadata} if asked.include_metadata else {})
            for record in page.read(connection)
        ]
        return Reply({"items": items, "nextCursor": page.cursor})

    return Unread(page.size_bytes, content)


def _bulk_put(services: Services, connection: Connection, install: Install, body: Body) -> Reply:
    asked = read(BulkPut, body)
    changes = [item.change for item in asked.items]
    written = records.put(connection, install, asked.namespace, changes, now=services.clock.now())
    items = [
        {"key": record.key, "revision": record.revision, "ttlExpiresAt": rfc3339(record.expires_at)}
        for record in written
    ]
    return Reply({"namespace": asked.namespace, "items": items})


def _written(record: Record) -> dict[str, Any]:
    return {
        "namespace": record.namespace,
        "key": record.key,
        "revision": record.revision,
        "ttlExpiresAt": rfc3339(record.expires_at),
        "createdAt": rfc3339(record.created_at),
        "updatedAt": rfc3339(record.updated_at),
    }


API = Api(
    "storage",
    capability="cap:storage.kv",
    operations={
        "get": Operation(_get, writes=False),
        "put": Operation(_put, writes=True),
        "delete": Operation(_delete, writes=True),
        "list": Operation(_list, writes=False),
        "bulkPut": Operation(_bulk_put, writes=True),
    },
    codes={"storage_full": "QUOTA_EXCEEDED"},
    # Not 404, which would tell the guest that a key is absent.
    no_install=Unauthorized,
)
