"""Locks for concurrent writers. SQLite has one writer at a time, and needs none of them.

All transactions take locks in one order, so that no two wait for each other: first ``alone``, then the install
(of several, by tenant and id), then its schedules in the order of their ids, then runs in the order of their ordinals,
and last ``number_invoices``. Taking only rows that are free waits for none, so it has no place in that order.
A lock is taken by a statement of its own, before what it guards is read: a statement that waits sees the row that it
locks as it is afterwards, but rows that it joins as they were before. Functions take a connection; locks last until its
transaction ends.
"""

from __future__ import annotations

from collections.abc import Iterable
from datetime import datetime
from typing import Any

from sqlalchemy import ColumnElement, Connection, Integer, Select, and_, bindparam, func, or_, select

from . import batches, tables
from .owned import of_install as owned
from .owned import place

_install, _schedule = tables.install, tables.schedule
_INSTALL = select(_install.c.id).where(
    _install.c.tenant_id == bindparam("of_tenant"), _install.c.id == bindparam("of_install")
)
_CHANGE_INSTALL = _INSTALL.with_for_update(of=_install, key_share=True)
_REMOVE_INSTALL = _INSTALL.with_for_update(of=_install)
_KEEP_INSTALL = _INSTALL.with_for_update(of=_install, read=True, key_share=True)
_INSTALLS = select(_install.c.tenant_id, _install.c.id).where(
    batches.owned(_install.c.tenant_id, _install.c.id)["postgresql"]
)
_KEEP_INSTALLS = _INSTALLS.order_by(_install.c.tenant_id, _install.c.id).with_for_update(
    of=_install, read=True, key_share=True
)
_KEEP_FREE_INSTALLS = _INSTALLS.with_for_update(of=_install, read=True, key_share=True, skip_locked=True)
_CHANGE_SCHEDULE = (
    select(_schedule.c.id)
    .where(owned(_schedule), _schedule.c.id == bindparam("of_schedule"))
    .with_for_update(of=_schedule)
)
_LISTED = select(_schedule.c.id).where(batches.listed(_schedule.c.id)["postgresql"]).order_by(_schedule.c.id)
_CHANGE_LISTED = _LISTED.with_for_update(of=_schedule)
# A schedule that another server claimed is not due any more: unless the lock depends on that, it is taken as well,
# and keeps that server from recording how its run went.
_now = bindparam("now", type_=_schedule.c.next_run_at.type)
_DUE = or_(_schedule.c.next_run_at <= _now, _schedule.c.retry_at <= _now)
_CLAIM_LISTED = _LISTED.where(_DUE).with_for_update(of=_schedule)
_in_order = (
    func.unnest(batches.text_array())
    .table_valued("id", with_ordinality="position", name="listed")
    .render_derived()
)
_CLAIM_FREE = (
    select(_schedule.c.id)
    .where(_schedule.c.id == _in_order.c.id, _DUE)
    .order_by(_in_order.c.position)
    .limit(bindparam("most", type_=Integer()))
    .with_for_update(of=_schedule, skip_locked=True)
)


def alone(connection: Connection, what: str) -> None:
    """Lock ``what``, a name, against other transactions of any process."""
    if needed(connection):
        connection.execute(select(func.pg_advisory_xact_lock(func.hashtextextended(what, 0))))


def bundles_of(tenant_id: str) -> str:
    """Deciding which bundles of the tenant are used, to be done ``alone``."""
    return f"bundles of {tenant_id}"


def number_invoices(connection: Connection, tenant_id: str) -> None:
    """Lock the numbers of the tenant's invoices; the last lock of a transaction."""
    alone(connection, f"invoices of {tenant_id}")


def change_install(connection: Connection, tenant_id: str, install_id: str) -> None:
    """Lock the install, and creating, changing or deleting its schedules. Runs can still be claimed."""
    _lock_install(connection, _CHANGE_INSTALL, tenant_id, install_id)


def remove_install(connection: Connection, tenant_id: str, install_id: str) -> None:
    """Lock the install, its schedules and their runs against everything, to delete it."""
    _lock_install(connection, _REMOVE_INSTALL, tenant_id, install_id)
    change_schedules(connection, of_install(tenant_id, install_id))
    run = tables.schedule_run.c
    running = and_(run.tenant_id == tenant_id, run.install_id == install_id, run.status == "running")
    change_runs(connection, running)


def change_several(
    connection: Connection, places: Iterable[tuple[str, str]], schedule_ids: Iterable[str]
) -> None:
    """As ``change_install`` of each tenant and install, then ``change_schedule`` of each schedule."""
    for tenant_id, install_id in sorted(set(places)):
        change_install(connection, tenant_id, install_id)
    change_listed(connection, schedule_ids)


def claim_several(
    connection: Connection, places: Iterable[tuple[str, str]], schedule_ids: Iterable[str], now: datetime
) -> set[str]:
    """Lock as ``keep_install`` and then ``change_schedule`` do, on PostgreSQL; the ids of those that are due still."""
    connection.execute(_KEEP_INSTALLS, batches.places(connection, places)).all()
    given = batches.ids(connection, schedule_ids) | {"now": now}
    return set(connection.execute(_CLAIM_LISTED, given).scalars())


def claim_free(connection: Connection, schedule_ids: Iterable[str], now: datetime, most: int) -> set[str]:
    """Lock the first ``most`` of the schedules that are due still and that no transaction has locked; on PostgreSQL.

    It waits for none, so it may come before ``keep_free_installs``.
    """
    given = batches.ids(connection, schedule_ids) | {"now": now, "most": most}
    return set(connection.execute(_CLAIM_FREE, given).scalars())


def keep_free_installs(connection: Connection, places: Iterable[tuple[str, str]]) -> set[tuple[str, str]]:
    """As ``keep_install`` of each that is not being removed, without waiting; those, on PostgreSQL."""
    rows = connection.execute(_KEEP_FREE_INSTALLS, batches.places(connection, places))
    return {(tenant_id, install_id) for tenant_id, install_id in rows}


def keep_install(connection: Connection, tenant_id: str, install_id: str) -> None:
    """The install does not go."""
    _lock_install(connection, _KEEP_INSTALL, tenant_id, install_id)


def change_schedules(connection: Connection, which: ColumnElement[bool]) -> None:
    """Lock the schedules against changes and claims."""
    if needed(connection):
        schedule = tables.schedule
        query = select(schedule.c.id).where(which).order_by(schedule.c.id).with_for_update(of=schedule)
        connection.execute(query).all()


def change_schedule(connection: Connection, tenant_id: str, install_id: str, schedule_id: str) -> None:
    """Lock the schedule against changes and claims."""
    if needed(connection):
        this = place(tenant_id, install_id) | {"of_schedule": schedule_id}
        connection.execute(_CHANGE_SCHEDULE, this).all()


def change_listed(connection: Connection, schedule_ids: Iterable[str]) -> None:
    """Lock these schedules against changes and claims."""
    if needed(connection):
        connection.execute(_CHANGE_LISTED, batches.ids(connection, schedule_ids)).all()


def change_runs(connection: Connection, which: ColumnElement[bool]) -> None:
    """Lock the runs against heartbeats and recorded ends."""
    if needed(connection):
        run = tables.schedule_run
        query = select(run.c.ordinal).where(which).order_by(run.c.ordinal).with_for_update(of=run)
        connection.execute(query).all()


def of_install(tenant_id: str, install_id: str) -> ColumnElement[bool]:
    """The condition that a schedule is the install's."""
    schedule = tables.schedule.c
    return and_(schedule.tenant_id == tenant_id, schedule.install_id == install_id)


def _lock_install(connection: Connection, query: Select[Any], tenant_id: str, install_id: str) -> None:
    if needed(connection):
        connection.execute(query, place(tenant_id, install_id)).all()


def needed(connection: Connection) -> bool:
    """Whether transactions that write run concurrently."""
    return connection.dialect.name != "sqlite"
