"""Finds due schedules of tenants that another tenant's hide: those that come first in time may be thousands of one.

It goes from tenant to tenant, and passes over one without looking at its schedules.
"""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass
from datetime import datetime
from functools import partial
from typing import Any

import anyio
from sqlalchemy import ColumnElement, Connection, Integer, String, bindparam, func, select

from ..storage import tables
from ..storage.database import Database
from .due import ATTEMPT_IS_DUE, RUNNING, TIME_IS_DUE, DueSchedule, Survey
from .places import Places

_VISITED = 500
"""Tenants that one look passes, those with nothing due among them."""

_HELPED = 25
"""Tenants whose schedules one look reads, each by a statement."""


@dataclass(frozen=True, slots=True)
class Others:
    """Due schedules of other tenants; ``last`` is the tenant that it came to; ``all``: it came to every one."""

    due: list[DueSchedule]
    last: str
    all: bool


class OtherTenants:
    """Looks for them, each time from the tenant on at which the last look ended."""

    def __init__(self, database: Database, places: Places) -> None:
        self._database = database
        self._places = places
        self._after = ""

    async def hidden_by(self, survey: Survey, now: datetime) -> Others:
        """What else is due, unless the survey shows all there is, or a tenant for every free place."""
        tenants = {schedule.tenant_id for schedule in survey.due}
        room = self._places.free - sum(map(self._places.has_room, tenants))
        if survey.more is None or room <= 0:
            return Others([], self._after, all=True)
        seen = tenants.union(tenant for tenant in self._places.held if not self._places.has_room(tenant))
        find = partial(others, now=now, seen=seen, after=self._after, room=room)
        with anyio.CancelScope(shield=True):
            others_due = await self._database.read(find)
        self._after = others_due.last
        return others_due


def others(connection: Connection, now: datetime, *, seen: Collection[str], after: str, room: int) -> Others:
    """About ``room`` due schedules of tenants that are not ``seen``, from the one that follows ``after`` on.

    It runs in the connection's transaction.
    """
    visited = connection.execute(_VISIT, {"after": after, "now": now, "visited": _VISITED}).all()
    waiting = [row for row in visited if (row.times or row.attempts) and row.tenant_id not in seen]
    helped = waiting[: min(room, _HELPED)]
    due: list[DueSchedule] = []
    for row in helped:
        given = {"tenant": row.tenant_id, "now": now, "most": -(-room // len(helped))}
        for there, statement in ((row.times, _TIMES), (row.attempts, _ATTEMPTS)):
            due += [DueSchedule(*one) for one in connection.execute(statement, given)] if there else []
    cut = len(helped) < len(waiting)
    last = helped[-1:] if cut else visited[-1:]
    return Others(due, last[0].tenant_id if last else "", all=not cut and len(visited) < _VISITED)


def _tenant_after(tenant_id: ColumnElement[str]) -> ColumnElement[str]:
    """The next tenant that has a live schedule; after the last, the first."""
    row = tables.schedule.alias()
    live = select(func.min(row.c.tenant_id)).where(row.c.next_run_at.is_not(None))
    return func.coalesce(live.where(row.c.tenant_id > tenant_id).scalar_subquery(), live.scalar_subquery())


def _visit() -> Any:
    walk = select(_tenant_after(bindparam("after", type_=String())).label("tenant_id")).cte(
        "walk", recursive=True
    )
    # The union leaves out who was there already: all round, it ends.
    walk = walk.union(select(_tenant_after(walk.c.tenant_id)).where(walk.c.tenant_id.is_not(None)))
    visited = (
        select(walk.c.tenant_id)
        .where(walk.c.tenant_id.is_not(None))
        .limit(bindparam("visited", type_=Integer()))
        .subquery("visited")
    )

    def any_due(column: str) -> ColumnElement[bool]:
        row = tables.schedule.alias()
        time = row.c[column]
        due = select(row.c.id).where(row.c.tenant_id == visited.c.tenant_id, time <= _now)
        return due.exists().label("times" if column == "next_run_at" else "attempts")

    return select(visited.c.tenant_id, any_due("next_run_at"), any_due("retry_at"))


def _of_tenant(time: ColumnElement[datetime], is_due: tuple[ColumnElement[bool], ...]) -> Any:
    columns = (_schedule.tenant_id, _schedule.install_id, _schedule.id, RUNNING)
    query = select(*columns).where(_schedule.tenant_id == bindparam("tenant"), *is_due)
    return query.order_by(time).limit(bindparam("most", type_=Integer()))


_schedule = tables.schedule.c
_now = bindparam("now", type_=_schedule.next_run_at.type)
_VISIT = _visit()
_TIMES = _of_tenant(_schedule.next_run_at, TIME_IS_DUE)
_ATTEMPTS = _of_tenant(_schedule.retry_at, ATTEMPT_IS_DUE)
