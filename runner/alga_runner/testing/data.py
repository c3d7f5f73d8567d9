"""What extensions store and make, as a test sees it: records of an install, and invoices of a tenant."""

from __future__ import annotations

import base64
from functools import partial
from typing import Any

from ..models._base import CamelModel
from .installed import Installed
from .runs import Loop

_ENCODING, _BASE64 = "encoding", "base64-bytes"
"""How a runner marks the bytes that guests store, which the server keeps as text (alga-contract 4, "Storage")."""


class Storage:
    """The records of one install, in namespaces. A value is bytes, as guests store them, or JSON.

    alga.storage.put("settings", "theme", b"dark")
    assert alga.storage.get("settings", "visits") == b"3"
    """

    def __init__(self, loop: Loop, install: Installed) -> None:
        self._loop = loop
        self._install = install

    def __repr__(self) -> str:
        return f"<Storage of {self._install.described()}>"

    def put(self, namespace: str, key: str, value: Any, *, ttl_seconds: int | None = None) -> None:
        """Write a record in place of the one before. Raises ``AdminRefused`` where an extension would be refused."""
        __tracebackhide__ = True
        members: dict[str, Any] = {"namespace": namespace, "key": key, "value": value}
        if isinstance(value, bytes):
            members |= {"value": base64.b64encode(value).decode(), "metadata": {_ENCODING: _BASE64}}
        if ttl_seconds is not None:
            members["ttlSeconds"] = ttl_seconds
        self._loop.run(partial(self._install.storage, "put", members))

    def get(self, namespace: str, key: str) -> Any:
        """The record's value; ``None`` without one, or past its time."""
        __tracebackhide__ = True
        return self.all(namespace).get(key)

    def all(self, namespace: str) -> dict[str, Any]:
        """The values of a namespace by key."""
        __tracebackhide__ = True
        members = {"namespace": namespace, "includeValues": True, "includeMetadata": True, "limit": 100}
        values: dict[str, Any] = {}
        cursor: str | None = ""
        while cursor is not None:
            page = self._loop.run(partial(self._install.storage, "list", {**members, "cursor": cursor}))
            values |= {item["key"]: _value(item) for item in page["items"]}
            cursor = page["nextCursor"]
        return values

    def delete(self, namespace: str, key: str) -> None:
        """Delete a record. Raises ``AdminRefused`` for one that is not there."""
        __tracebackhide__ = True
        self._loop.run(partial(self._install.storage, "delete", {"namespace": namespace, "key": key}))


class Invoice(CamelModel):
    """An invoice that an extension made; amounts are in the currency's smallest unit.

    ``items`` are as the admin API shows them, each with its ``amount``.
    """

    id: str
    invoice_number: str
    status: str
    client_id: str
    client_name: str
    currency: str | None
    invoice_date: str
    due_date: str | None
    po_number: str | None
    subtotal: int
    tax: int
    total: int
    items: list[dict[str, Any]]


def _value(item: dict[str, Any]) -> Any:
    marked = item["metadata"].get(_ENCODING) == _BASE64
    return base64.b64decode(item["value"]) if marked else item["value"]
