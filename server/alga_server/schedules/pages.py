"""Pages of an install's schedules: a list of all may hold megabytes of payloads, so it is read piece by piece."""

from __future__ import annotations

from dataclasses import dataclass

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
    """Some schedules in the order in which they were created, not read yet.

    Those after ``cursor`` follow, if it is not ``None``.
    """

    after: int
    last: int
    characters: int
    """How long the payloads are together."""
    cursor: int | None

    def read(self, connection: Connection, install: ScheduleOwner) -> list[bytes]:
        """Return the schedules as JSON."""
        return schedules.list_shown(connection, install, self.after, self.last)


def page(connection: Connection, install: ScheduleOwner, after: int = 0) -> Page:
    """The install's schedules after the cursor ``after``: as many as fit, and one at least if there is one."""
    total, last = 0, after
    # Row by row: the lengths of the schedules behind the page stay uncounted.
    with connection.execute(
        _LENGTHS, place(install.tenant_id, install.install_id) | {"after": after}
    ) as rows:
        for row in rows:
            if total >= PAGE_BYTES:
                return Page(after, last, total, cursor=last)
            total, last = total + row.length, row.ordinal
    return Page(after, last, total, cursor=None)
