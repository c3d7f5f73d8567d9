"""Pages of an install's schedules: a list of all may hold megabytes of payloads, so it is read piece by piece.

A page is JSON as ``ScheduleInfo`` dumps it, without one being made: that took as long as all else that a list does.
Payloads are looked at, and shown as they are stored: to encode a large one takes as long as all else that is done with
it.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from contextlib import closing
from dataclasses import dataclass
from datetime import datetime
from json.encoder import encode_basestring_ascii
from typing import NamedTuple

from sqlalchemy import Connection, Text, bindparam, case, cast, func, select

from alga_common.time import rfc3339
from alga_runner.models import MAX_PAYLOAD_DEPTH, json_fault

from ..storage import tables
from ..storage.owned import of_install, place
from ..storage.prepared import Prepared
from .owner import ScheduleOwner
from .schedules import JOINED, MEMBERS, usable_payload

PAGE_BYTES = 256 * 1024
"""A page ends with the schedule whose payload makes it this long, in characters of JSON."""

SHORT = 512
"""A payload of at most so many characters is read with its schedule; a longer one once the page's size is known."""

_column = tables.schedule.c
_STORED = cast(_column.payload, Text)
_LENGTH = func.coalesce(func.length(_STORED), 0)
_SHOWN = {name: column for name, column in MEMBERS.items() if name != "payload"}
_FOLLOWING = (of_install(tables.schedule), _column.ordinal > bindparam("after"))
_ROWS = Prepared(
    select(_column.ordinal, _LENGTH, case((_LENGTH <= SHORT, _STORED)), *_SHOWN.values())
    .select_from(JOINED)
    .where(*_FOLLOWING)
    .order_by(_column.ordinal)
)
_LONG = Prepared(
    select(_column.ordinal, _STORED).where(*_FOLLOWING, _column.ordinal <= bindparam("last"), _LENGTH > SHORT)
)
_TEMPLATE = "{" + "".join(f'"{name}":%s,' for name in _SHOWN) + '"payload":%s}'
_encode = json.JSONEncoder(allow_nan=False, separators=(",", ":")).encode


class _Row(NamedTuple):
    ordinal: int
    length: int
    payload: str | None
    """JSON; ``None`` for a long one, and without one."""
    id: str
    path: str
    method: str
    name: str | None
    cron: str
    timezone: str
    enabled: bool
    last_run_at: datetime | None
    last_run_status: str | None
    last_error: str | None
    created_at: datetime

    def shown(self, payload: str) -> str:
        """Return the schedule as JSON."""
        return _TEMPLATE % (
            _quoted(self.id),
            _quoted(self.path),
            _quoted(self.method),
            _quoted(self.name),
            _quoted(self.cron),
            _quoted(self.timezone),
            "true" if self.enabled else "false",
            _instant(self.last_run_at),
            _quoted(self.last_run_status),
            _quoted(self.last_error),
            _instant(self.created_at),
            payload,
        )


@dataclass(frozen=True, slots=True)
class Page:
    """Some schedules in the order in which they were created, long payloads not read yet.

    Those after ``cursor`` follow, if it is not ``None``.
    """

    rows: Sequence[_Row]
    characters: int
    """How long the payloads are together."""
    cursor: int | None

    def read(self, connection: Connection, install: ScheduleOwner) -> list[str]:
        """Return the schedules as JSON."""
        stored = _stored(connection, install, self.rows)
        payloads = json.loads(f"[{','.join(stored)}]")
        if json_fault(payloads, MAX_PAYLOAD_DEPTH + 1) is not None:
            stored = [
                _encode(usable_payload(install.tenant_id, install.install_id, row.id, payload))
                for row, payload in zip(self.rows, payloads, strict=True)
            ]
        return [row.shown(payload) for row, payload in zip(self.rows, stored, strict=True)]


def page(connection: Connection, install: ScheduleOwner, after: int = 0) -> Page:
    """The install's schedules after the cursor ``after``: as many as fit, and one at least if there is one."""
    rows: list[_Row] = []
    total = 0
    parameters = place(install.tenant_id, install.install_id) | {"after": after}
    # Row by row: the lengths of the schedules behind the page stay uncounted.
    with closing(_ROWS.rows(connection, parameters)) as following:
        for row in map(_Row._make, following):
            if total >= PAGE_BYTES:
                return Page(rows, total, cursor=rows[-1].ordinal)
            rows.append(row)
            total += row.length
    return Page(rows, total, cursor=None)


def _stored(connection: Connection, install: ScheduleOwner, rows: Sequence[_Row]) -> list[str]:
    """The payloads of ``rows``, as they are stored."""
    long: dict[int, str] = {}
    if any(row.length > SHORT for row in rows):
        ends = {"after": rows[0].ordinal - 1, "last": rows[-1].ordinal}
        long.update(_LONG.rows(connection, place(install.tenant_id, install.install_id) | ends))
    return [long[row.ordinal] if row.length > SHORT else row.payload or "null" for row in rows]


def _quoted(text: str | None) -> str:
    return "null" if text is None else encode_basestring_ascii(text)


def _instant(instant: datetime | None) -> str:
    return "null" if instant is None else f'"{rfc3339(instant)}"'
