"""Schedules of installs, shown to and changed by admins. The rules are those of host calls, in ``schedules``."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Any

from fastapi import Body
from pydantic import BaseModel, WithJsonSchema
from sqlalchemy import Connection

from alga_common.text import cut
from alga_runner.models import ScheduleInfo

from ...catalog import installs
from ...catalog.installs import Install
from ...errors import NotFound, ValidationFailed
from ...schedules import schedules
from ...schedules.owner import touch
from ...schedules.policies import MisfireKind
from ...schedules.schedules import Schedule
from ..dependencies import ServicesDep
from ..params import Id, TenantId
from ..responses import Answer
from ..schemas import AdminChanges, AdminSchedule, Instant, Output, refused
from .router import INSTALL, admin_router

_TRIGGER = "admin_api"
_ROOT = INSTALL + "/schedules"
_ONE = _ROOT + "/{schedule_id}"

_NAMES, _NAME_CHARACTERS = 32, 64
"""How many unknown members an answer names, and how much of each name."""

router = admin_router()

# The models describe these requests; ``schedules`` checks them, with the contract's messages.
_NewSchedule = Annotated[dict[str, Any], Body(), WithJsonSchema(AdminSchedule.model_json_schema())]
_Changes = Annotated[dict[str, Any], Body(), WithJsonSchema(AdminChanges.model_json_schema())]


def _refuse_unknown(body: Mapping[str, object], model: type[BaseModel]) -> None:
    """Raise ``ValidationFailed`` for members that ``model`` lacks, most often typing mistakes, which change nothing."""
    unknown = sorted(body.keys() - {field.alias or name for name, field in model.model_fields.items()})
    if unknown:
        names = [cut(name, _NAME_CHARACTERS) for name in unknown[:_NAMES]]
        raise ValidationFailed(
            field_errors=dict.fromkeys(names, "Extra inputs are not permitted"), schema=True
        )


class ScheduleShown(ScheduleInfo):
    """A schedule, its creator, when it fires next, and its policies for misfires and failed runs."""

    trigger: str
    next_run_at: Instant | None
    missed_runs: MisfireKind
    missed_window_seconds: int | None
    max_attempts: int
    retry_delay_seconds: int
    retry_factor: int
    retry_at: Instant | None


class SchedulesShown(Output):
    """The schedules of an install."""

    schedules: list[ScheduleShown]


class TenantScheduleShown(ScheduleShown):
    """A schedule, and its install."""

    install_id: str
    extension_name: str


class TenantSchedulesShown(Output):
    """The schedules of a tenant."""

    schedules: list[TenantScheduleShown]


@router.get("/tenants/{tenant_id}/schedules", response_model=TenantSchedulesShown)
async def list_of_tenant(services: ServicesDep, tenant_id: TenantId) -> Answer:
    """List the schedules of all installs of a tenant."""

    def transaction(connection: Connection) -> list[TenantScheduleShown]:
        return [
            TenantScheduleShown(
                **_members(schedule), install_id=install.install_id, extension_name=install.extension_name
            )
            for install in installs.of_tenant(connection, tenant_id)
            for schedule in schedules.list_all(connection, install)
        ]

    return _answer(TenantSchedulesShown(schedules=await services.database.read(transaction)))


@router.get(_ROOT, response_model=SchedulesShown, responses=refused(404))
async def list_all(services: ServicesDep, tenant_id: TenantId, install_id: Id) -> Answer:
    """List the schedules of an install."""

    def transaction(connection: Connection) -> list[ScheduleShown]:
        install = installs.require(connection, tenant_id, install_id)
        return [ScheduleShown(**_members(schedule)) for schedule in schedules.list_all(connection, install)]

    return _answer(SchedulesShown(schedules=await services.database.read(transaction)))


@router.post(_ROOT, status_code=201, response_model=ScheduleShown, responses=refused(400, 404, 413))
async def create(services: ServicesDep, tenant_id: TenantId, install_id: Id, body: _NewSchedule) -> Answer:
    """Create a schedule."""
    _refuse_unknown(body, AdminSchedule)

    def transaction(connection: Connection) -> ScheduleShown:
        install = installs.require(connection, tenant_id, install_id, lock=True)
        now = services.clock.now()
        created = schedules.create(
            connection, install, body, trigger=_TRIGGER, limits=services.limits, now=now
        )
        touch(connection, install, now)
        return _shown(connection, install, created.id)

    answer = _answer(await services.database.write(transaction), status=201)
    services.dispatcher.wake()
    return answer


@router.patch(_ONE, response_model=ScheduleShown, responses=refused(400, 404, 413))
async def change(
    services: ServicesDep, tenant_id: TenantId, install_id: Id, schedule_id: Id, body: _Changes
) -> Answer:
    """Change a schedule."""
    _refuse_unknown(body, AdminChanges)

    def transaction(connection: Connection) -> ScheduleShown:
        install = installs.require(connection, tenant_id, install_id, lock=True)
        now = services.clock.now()
        schedules.change(connection, install, schedule_id, body, limits=services.limits, now=now)
        touch(connection, install, now)
        return _shown(connection, install, schedule_id)

    answer = _answer(await services.database.write(transaction))
    services.dispatcher.wake()
    return answer


@router.delete(_ONE, status_code=204, response_model=None, responses=refused(404))
async def remove(services: ServicesDep, tenant_id: TenantId, install_id: Id, schedule_id: Id) -> None:
    """Delete a schedule."""

    def transaction(connection: Connection) -> None:
        install = installs.require(connection, tenant_id, install_id, lock=True)
        schedules.remove(connection, install, schedule_id)
        touch(connection, install, services.clock.now())

    await services.database.write(transaction)


def _shown(connection: Connection, install: Install, schedule_id: str) -> ScheduleShown:
    schedule = schedules.get(connection, install, schedule_id)
    if schedule is None:
        raise NotFound("Schedule not found")
    return ScheduleShown(**_members(schedule))


def _members(schedule: Schedule) -> dict[str, Any]:
    return {
        **schedule.info.model_dump(),
        "trigger": schedule.trigger,
        "next_run_at": schedule.next_run_at,
        "missed_runs": schedule.missed_policy,
        "missed_window_seconds": schedule.missed_window_s,
        "max_attempts": schedule.retry.attempts,
        "retry_delay_seconds": schedule.retry.delay_s,
        "retry_factor": schedule.retry.factor,
        "retry_at": schedule.retry_at,
    }


def _answer(shown: ScheduleShown | SchedulesShown | TenantSchedulesShown, status: int = 200) -> Answer:
    """Return the answer as the scheduler API writes it, so that a payload is the same to the byte at both."""
    return Answer(shown.model_dump(by_alias=True), status_code=status)
