"""An install goes to another version of its extension, and its schedules with it (alga-contract 5.8).

Functions take a connection and run in its transaction. Every query that touches a tenant's rows names the tenant.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sqlalchemy import Connection, Row, select, update

from alga_runner.models import normalise_capabilities

from ..errors import ScheduleRemapFailed
from ..schedules import next_run
from ..schedules.endpoint_ref import clean_path, endpoints
from ..storage import locks, tables
from . import installs, versions
from .installs import Install
from .versions import precedence

DISABLED = "Disabled due to missing endpoint on extension update"
"""What a schedule that was disabled for a new version has as its ``last_error``."""


@dataclass(frozen=True, slots=True)
class MissingEndpoint:
    """A schedule whose endpoint the version does not have."""

    schedule_id: str
    method: str
    path: str


@dataclass(frozen=True, slots=True)
class Upgrade:
    """What became of an install: it was at ``before``, and is ``install`` now; ``disabled`` lost their endpoint."""

    before: Install
    install: Install
    remapped: int
    disabled: list[MissingEndpoint]


def upgrade(
    connection: Connection,
    tenant_id: str,
    install_id: str,
    *,
    version_id: str,
    may_go_back: bool,
    disable_missing: bool,
    now: datetime,
) -> Upgrade:
    """Move an install to a version of its extension; to one of lower precedence only if it ``may_go_back``.

    Each schedule moves to the endpoint with its method and path; its next time stays. One whose endpoint is gone
    blocks all of it, or with ``disable_missing`` is disabled with the reason as its ``last_error``. Grants that the
    version does not declare end. Raises ``NotFound``, ``ScheduleRemapFailed``, which names every such schedule.
    """
    locks.alone(connection, locks.bundles_of(tenant_id))
    before = installs.require(connection, tenant_id, install_id, lock=True)
    version = versions.require(connection, before.extension_id, version_id)
    lower = precedence(version.version) < precedence(before.version)
    if version.version_id == before.version_id or (lower and not may_go_back):
        return Upgrade(before, before, 0, [])
    there = {
        (endpoint.method.upper(), clean_path(endpoint.path)): endpoint.id
        for endpoint in endpoints(connection, version.version_id)
    }
    remapped: dict[str, str] = {}
    missing: list[MissingEndpoint] = []
    for row in _schedules(connection, before):
        endpoint_id = there.get((row.method.upper(), clean_path(row.path)))
        if endpoint_id is not None:
            remapped[row.id] = endpoint_id
        elif row.version_id == before.version_id:  # else an earlier change took its endpoint, and disabled it
            missing.append(MissingEndpoint(row.id, row.method, row.path))
    if missing and not disable_missing:
        raise ScheduleRemapFailed(missing=[(gone.schedule_id, gone.method, gone.path) for gone in missing])
    for schedule_id, endpoint_id in remapped.items():
        _change(connection, before, schedule_id, {"endpoint_id": endpoint_id})
    for gone in missing:
        values = {"enabled": False, "last_error": DISABLED, "updated_at": now, **next_run.NOTHING}
        _change(connection, before, gone.schedule_id, values)
    kept = before.grants & normalise_capabilities(version.capabilities)
    installs.move(connection, before, version_id=version.version_id, grants=kept, now=now)
    return Upgrade(before, installs.require(connection, tenant_id, install_id), len(remapped), missing)


def _schedules(connection: Connection, install: Install) -> Sequence[Row[Any, Any, Any, Any]]:
    """Every schedule of the install with its endpoint, enabled or not, oldest first; locked against claims."""
    locks.change_schedules(connection, locks.of_install(install.tenant_id, install.install_id))
    schedule, endpoint = tables.schedule.c, tables.endpoint.c
    query = (
        select(schedule.id, endpoint.method, endpoint.path, endpoint.version_id)
        .join(tables.endpoint, endpoint.id == schedule.endpoint_id)
        .where(schedule.tenant_id == install.tenant_id, schedule.install_id == install.install_id)
        .order_by(schedule.created_at, schedule.ordinal)
    )
    return connection.execute(query).all()


def _change(connection: Connection, install: Install, schedule_id: str, values: dict[str, Any]) -> None:
    schedule = tables.schedule
    connection.execute(
        update(schedule)
        .where(
            schedule.c.tenant_id == install.tenant_id,
            schedule.c.install_id == install.install_id,
            schedule.c.id == schedule_id,
        )
        .values(values)
    )
