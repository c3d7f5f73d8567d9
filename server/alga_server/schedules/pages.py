"""Pages of an install's schedules: a list of all may hold megabytes of payloads, so it is read piece by piece."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from sqlalchemy import Connection, Text, bindparam, cast, func, select

from ..storage import tables
from ..storage.owned import of_install, place
from . import schedules
from .owner import ScheduleOwner

PAGE_BYTES = 256 * 1024
"""A page ends with the schedule whose payload makes it this long, in characters of JSON."""

_column = tables.schedule.c
_LENGTHS = (
    select(_column.ordinal, func.coalesce(func.length(cast(_column.payload, Text)), 0).label("length"))
    .where(of_install(tables.schedule), _column.ordinal > bindparam("after"))
    .order_by(_column.ordinal)
)


@dataclass(frozen=True, slots=True)
class Page:
    """Some schedules in the order in which they were created; those after ``cursor`` follow, if it is not ``None``."""

    schedules: list[dict[str, Any]]
    cursor: int | None


def page(connection: Connection, install: ScheduleOwner, after: int = 0) -> Page:
    """The install's schedules after the cursor ``after``: as many as fit, and one at least if there is one."""
    own = place(install.tenant_id, install.install_id)
    lengths = connection.execute(_LENGTHS, own | {"after": after}).all()
    total, last = 0, None
    for row in lengths:
        total, last = total + row.length, row.ordinal
        if total >= PAGE_BYTES:
            break
    if last is None:
        return Page([], None)
    listed = schedules.list_shown(connection, install, (after, last))
    return Page(listed, last if last != lengths[-1].ordinal else None)
