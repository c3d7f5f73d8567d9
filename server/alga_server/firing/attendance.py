"""Since when a server has looked for due schedules: what came later and is late waited for room, and was not missed.

The database has it, in one row, so that a server that starts next to others, or in the place of one, knows as well.
"""

from __future__ import annotations

from datetime import datetime, timedelta
from functools import partial

from sqlalchemy import Connection, insert, select, update

from ..storage import locks, tables
from ..storage.database import Database


class Attendance:
    """What this server tells the database, and learns: that one is there, ``every`` so often."""

    def __init__(self, database: Database, *, every: timedelta, gap: timedelta) -> None:
        self._database = database
        self._every = every
        self._gap = gap
        self._noted_at: datetime | None = None
        self.since: datetime | None = None
        """``None`` until it was noted."""

    async def note(self, now: datetime) -> bool:
        """A server looks at ``now``: whether that changed ``since``."""
        if self._noted_at is not None and self._noted_at <= now < self._noted_at + self._every:
            return False
        before, self.since = self.since, await self._database.write(partial(attend, now=now, gap=self._gap))
        self._noted_at = now
        return self.since != before


def attend(connection: Connection, now: datetime, *, gap: timedelta) -> datetime:
    """Record that a server looks at ``now``; since when one has without a gap that is longer than ``gap``."""
    locks.alone(connection, "attendance")
    row = connection.execute(select(tables.attendance)).one_or_none()
    if row is None:
        connection.execute(insert(tables.attendance).values(id=1, since=now, last_at=now))
        return now
    since: datetime = row.since if abs(now - row.last_at) <= gap else now
    connection.execute(update(tables.attendance).values(since=since, last_at=now))
    return since
