"""The install's stored values, as operations exchange them (docs/capabilities.md, "Storage")."""

from __future__ import annotations

from typing import Annotated

from pydantic import Field, WithJsonSchema

from ._base import CamelModel
from .guest_documents import BINARY_SCHEMA
from .members import FROM_FLOAT, MAX_MEMBERS, Natural

MAX_VALUE_BYTES = 64 * 1024
"""Bytes of a stored value. A server that keeps 64 KiB of JSON text takes 49,149: base64 and two quotes."""

Namespace = Annotated[str, Field(min_length=1, max_length=128)]
Key = Annotated[str, Field(min_length=1, max_length=256)]
Value = Annotated[bytes, Field(max_length=MAX_VALUE_BYTES), WithJsonSchema(BINARY_SCHEMA)]

_PageSize = Annotated[int, Field(ge=1, le=100), FROM_FLOAT]


class StorageKey(CamelModel):
    """Names one stored value."""

    namespace: Namespace = Field(description="groups keys; the server makes it when it is first written to")
    key: Key = Field(description="without `/`")


class StorageWrite(StorageKey):
    """A value to store."""

    value: Value = Field(description="up to 65,536 bytes; Alga's server takes 49,149")
    revision: Natural | None = Field(
        default=None, description="that of the value to replace: another one is a `conflict`"
    )


class StorageEntry(StorageKey):
    """One stored value."""

    value: Annotated[bytes, WithJsonSchema(BINARY_SCHEMA)] = Field(
        description="as it was stored; the JSON text of a value that another program stored as JSON"
    )
    revision: Natural = Field(description="grows with each write of the value")


class FoundEntry(CamelModel):
    """What the search for a stored value answers."""

    entry: StorageEntry | None = Field(default=None, description="absent where there is no such key")


class StoredRevision(CamelModel):
    """What a write answers."""

    revision: Natural = Field(description="the stored value's")


class StoragePage(CamelModel):
    """Which values to list."""

    namespace: Namespace = Field(description="as in a write")
    cursor: Key | None = Field(
        default=None, description="the `nextCursor` of the page before, which is its last key"
    )
    limit: _PageSize | None = Field(default=None, description="how many at most, 25 by default")


class EntryList(CamelModel):
    """One page of stored values."""

    entries: Annotated[list[StorageEntry], Field(max_length=MAX_MEMBERS)] = Field(
        description="in the order of their keys"
    )
    next_cursor: Key | None = Field(default=None, description="absent at the end")
