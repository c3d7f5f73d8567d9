"""``cap:storage.kv``: values that an install keeps between executions (docs/capabilities.md, "Storage").

The Alga server owns the rules (alga-contract 4). It keeps JSON; bytes travel as base64, marked as such.
"""

from __future__ import annotations

import binascii
import json
from collections.abc import Mapping
from typing import Annotated, Any

import pybase64
from pydantic import Field, TypeAdapter

from ..alga import answers
from ..errors import HostCallCode, HostCallError
from ..models._base import CamelModel
from ..models.members import MAX_MEMBERS, Natural
from ..models.storage import (
    MAX_VALUE_BYTES,
    EntryList,
    FoundEntry,
    Key,
    StorageEntry,
    StorageKey,
    StoragePage,
    StorageWrite,
    StoredRevision,
)
from .operation import Execution, NoOutput, Operation

CAPABILITY = "cap:storage.kv"

_READ_CODES = (HostCallCode.TIMEOUT, HostCallCode.UNAVAILABLE, HostCallCode.RATE_LIMITED)
_PUT_CODES = (*_READ_CODES, HostCallCode.CONFLICT, HostCallCode.QUOTA_EXCEEDED)

_ENCODING = "encoding"
_BASE64 = "base64-bytes"
_BYTES_MEMBER = "_bytes_b64"


class _Stored(CamelModel):
    """A value as the server answers it."""

    key: Key
    revision: Natural
    value: Any = None
    metadata: Any = None


_STORED = TypeAdapter(_Stored)
_ITEMS = TypeAdapter(Annotated[list[_Stored], Field(max_length=MAX_MEMBERS)])
_REVISION = TypeAdapter(StoredRevision)


async def _get(execution: Execution, at: StorageKey) -> FoundEntry:
    try:
        answer = await execution.ask("storage.get", at.model_dump(by_alias=True))
    except HostCallError as error:
        if error.host_code is HostCallCode.NOT_FOUND:
            return FoundEntry()
        raise
    return FoundEntry(entry=_entry(at.namespace, answers.parsed(_STORED, {"key": at.key, **answer})))


async def _put(execution: Execution, write: StorageWrite) -> StoredRevision:
    members: dict[str, object] = {
        "namespace": write.namespace,
        "key": write.key,
        "value": pybase64.b64encode_as_string(write.value),
        "metadata": {_ENCODING: _BASE64},
    }
    if write.revision is not None:
        members["ifRevision"] = write.revision
    return answers.parsed(_REVISION, await execution.ask("storage.put", members))


async def _delete(execution: Execution, at: StorageKey) -> NoOutput:
    answers.done(await execution.ask("storage.delete", at.model_dump(by_alias=True)))
    return NoOutput()


async def _list(execution: Execution, page: StoragePage) -> EntryList:
    members = page.model_dump(by_alias=True, exclude_none=True)
    answer = await execution.ask("storage.list", {**members, "includeValues": True, "includeMetadata": True})
    entries = [_entry(page.namespace, item) for item in answers.parsed(_ITEMS, answer, "items")]
    # Alga's own cursor is the first key that is not on the page, and asks for those beyond it (alga-contract 7, fault
    # 24). The last key that is on the page loses none, there and on a server whose cursor is that key.
    more = bool(entries) and answer.get("nextCursor") is not None
    return EntryList(entries=entries, next_cursor=entries[-1].key if more else None)


def _entry(namespace: str, stored: _Stored) -> StorageEntry:
    return StorageEntry(namespace=namespace, key=stored.key, value=_value(stored), revision=stored.revision)


def _value(stored: _Stored) -> bytes:
    """The bytes of a stored value.

    Only values that are marked as base64 are decoded; text that looks like it stays text (alga-contract 7, fault 25).
    """
    value, metadata = stored.value, stored.metadata
    if isinstance(metadata, Mapping) and metadata.get(_ENCODING) == _BASE64 and isinstance(value, str):
        return _decoded(value)
    if isinstance(value, Mapping) and value.keys() == {_BYTES_MEMBER}:
        marked = value[_BYTES_MEMBER]
        if isinstance(marked, str):
            return _decoded(marked)
    if isinstance(value, str):
        return value.encode("utf-8", "replace")
    return json.dumps(value, ensure_ascii=False, separators=(",", ":")).encode("utf-8", "replace")


def _decoded(text: str) -> bytes:
    try:
        return pybase64.b64decode(text, validate=True)
    except (binascii.Error, ValueError):
        raise answers.unusable("has a value that is marked as base64 but is other text") from None


OPERATIONS: tuple[Operation[Any, Any], ...] = (
    Operation(
        name="storage.get",
        capability=CAPABILITY,
        summary="One stored value, if there is one under that key.",
        input=StorageKey,
        output=FoundEntry,
        run=_get,
        codes=_READ_CODES,
    ),
    Operation(
        name="storage.put",
        capability=CAPABILITY,
        summary="Store a value; with a revision, only in place of the value that has it.",
        input=StorageWrite,
        output=StoredRevision,
        run=_put,
        codes=_PUT_CODES,
        payload_bytes=MAX_VALUE_BYTES,
        repeatable=lambda _execution, write: write.revision is None,
    ),
    Operation(
        name="storage.delete",
        capability=CAPABILITY,
        summary="Delete a stored value.",
        input=StorageKey,
        output=NoOutput,
        run=_delete,
        codes=(*_READ_CODES, HostCallCode.NOT_FOUND),
    ),
    Operation(
        name="storage.list",
        capability=CAPABILITY,
        summary="The stored values of a namespace by key, one page at a time.",
        input=StoragePage,
        output=EntryList,
        run=_list,
        codes=_READ_CODES,
    ),
)
