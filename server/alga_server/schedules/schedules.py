"""Schedules of one install: the rules around them, the same for host calls and admins (alga-contract 5.2 to 5.4).

Functions take a connection and run in its transaction. Every query names the tenant and the install. A writer
holds the install's row (``installs.for_caller`` or ``require`` with ``lock``), so quota and names hold under any load,
and sets the time of the install's last change (``rate_limit.take``, or ``owner.touch`` for an admin).
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, NamedTuple
from uuid import uuid4

from cronsim import CronSimError
from sqlalchemy import (
    ColumnElement,
    Connection,
    Row,
    Select,
    bindparam,
    delete,
    func,
    insert,
    select,
    update,
)
from sqlalchemy.exc import IntegrityError

from alga_common import time as instants
from alga_runner.models import ScheduleInfo, json_fault, readable

from ..errors import FieldRefused, NotFound, QuotaExceeded, ValidationFailed
from ..storage import locks, tables
from ..storage.owned import of_install, place
from . import next_run
from .cron import check_cron, check_zone
from .endpoint_ref import Selector
from .occurrences import UNUSABLE
from .owner import ScheduleOwner
from .policies import MAX_ATTEMPTS, MAX_DELAY_S, MAX_FACTOR, MISFIRE_KINDS, RetryPolicy, policy_of
from .validation import check_choice, check_enabled, check_name, check_payload, check_string, check_whole

logger = logging.getLogger("alga_server")

MAX_WINDOW_S = 366 * 24 * 60 * 60
"""The longest window of missed times, in seconds."""

_NOT_FOUND = "Schedule not found"
_ENDPOINT_GONE = "Schedule endpoint does not belong to installed version"
_NAME_TAKEN = "Schedule name already in use for this extension"
_NAME_INDEX = ("tenant_extension_schedule.name", "tenant_extension_schedule_install_name_uniq")
"""How databases name the broken index: SQLite by its columns, others by its name."""

_schedule_table, _endpoint = tables.schedule, tables.endpoint
_OWNED = of_install(_schedule_table)
_ID = _schedule_table.c.id == bindparam("of_schedule")
# Outer: a schedule that hangs on nothing is shown, and can be mended (alga-contract 7, fault 37).
JOINED = _schedule_table.outerjoin(_endpoint, _endpoint.c.id == _schedule_table.c.endpoint_id)
_column = _schedule_table.c
MEMBERS: dict[str, ColumnElement[Any]] = {
    "id": _column.id,
    "endpointPath": func.coalesce(_endpoint.c.path, ""),
    "endpointMethod": func.coalesce(_endpoint.c.method, ""),
    "name": _column.name,
    "cron": _column.cron,
    "timezone": _column.timezone,
    "enabled": _column.enabled,
    "payload": _column.payload,
    "lastRunAt": _column.last_run_at,
    "lastRunStatus": _column.last_run_status,
    "lastError": _column.last_error,
    "createdAt": _column.created_at,
}
"""What an extension sees: the members of ``ScheduleInfo`` in its order, first in every row here."""
_ALL: Select[Any] = select(
    *(column.label(name) for name, column in MEMBERS.items()),
    *(_column.tenant_id, _column.install_id),
    *(_column.trigger, _column.next_run_at, _column.missed_policy, _column.missed_window_s),
    *(_column.max_attempts, _column.retry_delay_s, _column.retry_factor, _column.retry_at),
)
_ALL = _ALL.select_from(JOINED).where(_OWNED)
_IN_ORDER = _ALL.order_by(_column.ordinal)
_ONE = _ALL.where(_ID)
_VERSION = select(_endpoint.c.version_id).select_from(JOINED).where(_OWNED, _ID)
_NAMED = select(_schedule_table.c.id).where(_OWNED, _schedule_table.c.name == bindparam("name"))
_CANDIDATES = select(
    *(_endpoint.c.id, _endpoint.c.method, _endpoint.c.path),
    select(func.count()).select_from(_schedule_table).where(_OWNED).scalar_subquery(),
    select(func.coalesce(func.max(_column.ordinal), 0)).where(_OWNED).scalar_subquery(),
).where(_endpoint.c.version_id == bindparam("version"))
_CREATE = insert(_schedule_table)
_CHANGE = update(_schedule_table).where(_OWNED, _ID)
_REMOVE = delete(_schedule_table).where(_OWNED, _ID)


class _Candidate(NamedTuple):
    """An endpoint of the installed version, read with what else a create looks at."""

    id: str
    method: str
    path: str
    schedules: int
    """How many the install has."""
    last_ordinal: int


@dataclass(frozen=True, slots=True)
class Limits:
    """What an install may have."""

    max_schedules: int = 50
    min_interval_minutes: int = 5


@dataclass(frozen=True, slots=True)
class NewSchedule:
    """A schedule that was created, and when it fires first; ``None`` when it, or its install, is disabled."""

    id: str
    next_run_at: datetime | None


@dataclass(frozen=True, slots=True)
class Schedule:
    """One schedule: what its extension sees of it, and who made it (``host_api`` or ``admin_api``).

    ``next_run_at`` is when it fires next; ``None`` when it, or its install, is disabled. ``missed_window_s`` is how
    many seconds late a missed time may still run; ``None`` however late; ``retry_at`` is
    when a failed run is tried again.
    """

    info: ScheduleInfo
    trigger: str
    next_run_at: datetime | None
    missed_policy: str
    missed_window_s: int | None
    retry: RetryPolicy
    retry_at: datetime | None


def list_all(connection: Connection, install: ScheduleOwner) -> list[Schedule]:
    """The install's schedules, oldest first."""
    return [_schedule(row) for row in connection.execute(_IN_ORDER, _of(install))]


def get(connection: Connection, install: ScheduleOwner, schedule_id: str) -> Schedule | None:
    """One schedule; ``None`` when the install has none with that id."""
    row = connection.execute(_ONE, _is(install, schedule_id)).one_or_none()
    return None if row is None else _schedule(row)


def create(
    connection: Connection,
    install: ScheduleOwner,
    members: Mapping[str, object],
    *,
    trigger: str,
    limits: Limits,
    now: datetime,
) -> NewSchedule:
    """Create a schedule from the request's ``members``.

    Raises ``ValidationFailed`` with every field that is wrong, ``QuotaExceeded``.
    """
    # On create a null means the default, like an absent member.
    given = {key: value for key, value in members.items() if value is not None}
    candidates: list[_Candidate] = []
    values = _check(
        connection, install, given, candidates=candidates, required=("cron", "endpoint"), limits=limits
    )
    if candidates[0].schedules >= limits.max_schedules:
        raise QuotaExceeded(f"Too many schedules (max {limits.max_schedules} per extension install)")
    row = {
        "id": str(uuid4()),
        "tenant_id": install.tenant_id,
        "install_id": install.install_id,
        "ordinal": candidates[0].last_ordinal + 1,
        "timezone": "UTC",
        "enabled": True,
        "trigger": trigger,
        "created_at": now,
        "updated_at": now,
        **values,
    }
    first = _next(install, row, now)
    row |= first
    _write_named(lambda: connection.execute(_CREATE, row))
    return NewSchedule(str(row["id"]), first["next_run_at"])


def change(
    connection: Connection,
    install: ScheduleOwner,
    schedule_id: str,
    members: Mapping[str, object],
    *,
    limits: Limits,
    now: datetime,
) -> None:
    """Change the given ``members``: an absent one is left, null clears ``name``, ``payload`` and the window.

    Raises ``NotFound``, ``ValidationFailed`` with every field that is wrong.
    """
    locks.change_schedule(connection, install.tenant_id, install.install_id, schedule_id)
    stored = get(connection, install, schedule_id)
    if stored is None:
        raise NotFound(_NOT_FOUND)
    values = _check(connection, install, members, candidates=[], own_id=schedule_id, limits=limits)
    if (
        values.get("enabled")
        and "endpoint_id" not in values
        and not _has_endpoint(connection, install, schedule_id)
    ):
        raise ValidationFailed(field_errors={"enabled": _ENDPOINT_GONE})
    before = stored.info.model_dump(include={"cron", "timezone", "enabled"})
    if before != (after := before | {key: values[key] for key in before if key in values}):
        values |= _next(install, after, now)
    changed = values | {"updated_at": now}
    _write_named(lambda: connection.execute(_CHANGE, _is(install, schedule_id) | changed))


def remove(connection: Connection, install: ScheduleOwner, schedule_id: str) -> None:
    """Delete a schedule. Raises ``NotFound``."""
    if connection.execute(_REMOVE, _is(install, schedule_id)).rowcount == 0:
        raise NotFound(_NOT_FOUND)


def _check(
    connection: Connection,
    install: ScheduleOwner,
    members: Mapping[str, object],
    *,
    candidates: list[_Candidate],
    limits: Limits,
    required: tuple[str, ...] = (),
    own_id: str | None = None,
) -> dict[str, object]:
    """The columns that ``members`` set; ``candidates`` gets what their endpoint is chosen from.

    Raises ``ValidationFailed`` with every field that is wrong.
    """

    def cron(value: object) -> str:
        return check_cron(check_string(value), min_interval_minutes=limits.min_interval_minutes)

    def timezone(value: object) -> str:
        return check_zone("" if value is None else check_string(value))

    def name(value: object) -> str | None:
        checked = check_name(value)
        if checked is not None and _name_taken(connection, install, checked, own_id):
            raise FieldRefused(_NAME_TAKEN)
        return checked

    def endpoint(value: object) -> str:
        selector = Selector.parse(check_string(value))
        rows = connection.execute(_CANDIDATES, _of(install) | {"version": install.version_id})
        candidates.extend(_Candidate(*row) for row in rows)
        return selector.choose(candidates).id

    def window(value: object) -> int | None:
        return None if value is None else check_whole(value, 1, MAX_WINDOW_S)

    # In the order in which alga-contract 5.2 checks: the first message is the answer's.
    rules: dict[str, tuple[str, Callable[[object], object]]] = {
        "cron": ("cron", cron),
        "timezone": ("timezone", timezone),
        "payload": ("payload", check_payload),
        "name": ("name", name),
        "endpoint": ("endpoint_id", endpoint),
        "enabled": ("enabled", check_enabled),
        "missedRuns": ("missed_policy", lambda value: check_choice(value, MISFIRE_KINDS)),
        "missedWindowSeconds": ("missed_window_s", window),
        "maxAttempts": ("max_attempts", lambda value: check_whole(value, 1, MAX_ATTEMPTS)),
        "retryDelaySeconds": ("retry_delay_s", lambda value: check_whole(value, 1, MAX_DELAY_S)),
        "retryFactor": ("retry_factor", lambda value: check_whole(value, 1, MAX_FACTOR)),
    }
    values: dict[str, object] = {}
    refused: dict[str, FieldRefused] = {}
    for field, (column, rule) in rules.items():
        if field not in members:
            if field in required:
                refused[field] = FieldRefused("Required", schema=True)
            continue
        try:
            values[column] = rule(members[field])
        except FieldRefused as error:
            refused[field] = error
    if refused:
        raise ValidationFailed(
            field_errors={field: str(error) for field, error in refused.items()},
            schema=any(error.schema for error in refused.values()),
        )
    return values


def _next(install: ScheduleOwner, row: Mapping[str, Any], now: datetime) -> dict[str, Any]:
    """The columns that say when it fires next, from ``now`` on."""
    if not (install.enabled and row["enabled"]):
        return next_run.NOTHING
    try:
        return next_run.first_columns(row["cron"], row["timezone"], now)
    except UNUSABLE as error:  # stored by an older or a newer version, and not changed now
        field = "cron" if isinstance(error, CronSimError) else "timezone"
        raise ValidationFailed(field_errors={field: f"Stored {field} is unknown; give another"}) from None


def _has_endpoint(connection: Connection, install: ScheduleOwner, schedule_id: str) -> bool:
    """Whether the schedule's endpoint is one of the installed version: an upgrade may have taken it away."""
    version_id = connection.execute(_VERSION, _is(install, schedule_id)).scalar_one()
    return bool(version_id == install.version_id)


def _write_named(write: Callable[[], object]) -> None:
    """Run ``write``; a name that another transaction took meanwhile is that field's error, not a failure."""
    try:
        write()
    except IntegrityError as error:
        if not any(mark in str(error.orig) for mark in _NAME_INDEX):
            raise
        raise ValidationFailed(field_errors={"name": _NAME_TAKEN}) from None


def _name_taken(connection: Connection, install: ScheduleOwner, name: str, own_id: str | None) -> bool:
    named = connection.execute(_NAMED, _of(install) | {"name": name})
    return any(schedule_id != own_id for schedule_id in named.scalars())


def _of(install: ScheduleOwner) -> dict[str, object]:
    return place(install.tenant_id, install.install_id)


def _is(install: ScheduleOwner, schedule_id: str) -> dict[str, object]:
    return _of(install) | {"of_schedule": schedule_id}


def _schedule(row: Row[Any]) -> Schedule:
    return Schedule(
        info=ScheduleInfo.model_validate(_members(row)),
        trigger=row.trigger,
        next_run_at=row.next_run_at,
        missed_policy=row.missed_policy,
        missed_window_s=row.missed_window_s,
        retry=policy_of(row),
        retry_at=row.retry_at,
    )


def _members(row: Row[Any]) -> dict[str, Any]:
    """The members of a ``ScheduleInfo``, as JSON has them."""
    members = dict(zip(MEMBERS, row, strict=False))
    members["payload"] = stored_payload(row)
    members["lastRunAt"], members["createdAt"] = rfc3339(row.lastRunAt), rfc3339(row.createdAt)
    return members


def stored_payload(row: Row[Any]) -> Any:
    """The payload of a schedule's row; one that an older version stored, and this one refuses, with replacements."""
    return usable_payload(row.tenant_id, row.install_id, row.id, row.payload)


def usable_payload(tenant_id: str, install_id: str, schedule_id: str, payload: Any) -> Any:
    """The stored payload of this schedule, with replacements for all that a request may not have."""
    fault = json_fault(payload)
    if fault is None:
        return payload
    logger.warning(
        "Stored payload of a schedule was read with replacements: it %s",
        fault,
        extra={
            "action": "payload_replaced",
            "tenant_id": tenant_id,
            "install_id": install_id,
            "schedule_id": schedule_id,
        },
    )
    return readable(payload)


def rfc3339(instant: datetime | None) -> str | None:
    """``instant`` in UTC with milliseconds and ``Z``; ``None`` stays."""
    if instant is None:
        return None
    return instants.rfc3339(instant.astimezone(UTC))
