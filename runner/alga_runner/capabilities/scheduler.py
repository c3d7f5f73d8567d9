"""``cap:scheduler.manage``: an extension manages the schedules of its own install (docs/scheduling.md).

The Alga server owns the rules (alga-contract 5.2-5.4); its answers reach the guest unchanged.
"""

from __future__ import annotations

from typing import Any

from alga_common.wire import MAX_PAYLOAD_BYTES

from ..errors import HostCallCode
from ..models import (
    CreatedSchedule,
    CreateScheduleInput,
    EndpointList,
    FoundSchedule,
    ScheduleList,
    ScheduleRef,
    UpdateScheduleInput,
)
from ..models.members import MAX_ID
from .operation import READ_CODES, Execution, Listing, Members, NoInput, NoOutput, Operation

CAPABILITY = "cap:scheduler.manage"

_WRITE_CODES = (*READ_CODES, HostCallCode.RATE_LIMITED, HostCallCode.CONFLICT)
_GROWTH_CODES = (*_WRITE_CODES, HostCallCode.QUOTA_EXCEEDED)


async def _list(execution: Execution, _: NoInput) -> Listing:
    identity = execution.identity
    identity.require_install()
    return Listing("schedules", execution.alga.schedule_pages(identity, execution.deadline))


async def _get(execution: Execution, schedule: ScheduleRef) -> FoundSchedule:
    identity = execution.identity
    identity.require_install()
    schedule_info = await execution.alga.get_schedule(identity, schedule.schedule_id, execution.deadline)
    return FoundSchedule(schedule=schedule_info)


async def _create(execution: Execution, schedule: CreateScheduleInput) -> CreatedSchedule | Members:
    identity = execution.identity
    identity.require_install()
    schedule_id = await execution.alga.create_schedule(
        identity, schedule, execution.deadline, idempotency_key=execution.idempotency_key
    )
    if type(schedule_id) is str and len(schedule_id) <= MAX_ID and schedule_id.isascii():
        return Members({"scheduleId": schedule_id})
    return CreatedSchedule(schedule_id=schedule_id)  # its error names the fault


async def _update(execution: Execution, changes: UpdateScheduleInput) -> Members:
    identity = execution.identity
    identity.require_install()
    await execution.alga.update_schedule(identity, changes, execution.deadline)
    return Members({})


async def _delete(execution: Execution, schedule: ScheduleRef) -> Members:
    identity = execution.identity
    identity.require_install()
    await execution.alga.delete_schedule(identity, schedule.schedule_id, execution.deadline)
    return Members({})


async def _get_endpoints(execution: Execution, _: NoInput) -> EndpointList:
    identity = execution.identity
    identity.require_install()
    return EndpointList(endpoints=await execution.alga.get_endpoints(identity, execution.deadline))


OPERATIONS: tuple[Operation[Any, Any], ...] = (
    Operation(
        name="scheduler.list",
        capability=CAPABILITY,
        summary="The install's schedules, oldest first.",
        input=NoInput,
        output=ScheduleList,
        run=_list,
        codes=READ_CODES,
    ),
    Operation(
        name="scheduler.get",
        capability=CAPABILITY,
        summary="One schedule, if this install has one with that id.",
        input=ScheduleRef,
        output=FoundSchedule,
        run=_get,
        codes=READ_CODES,
    ),
    Operation(
        name="scheduler.create",
        capability=CAPABILITY,
        summary="Create a schedule that calls one of the extension's own endpoints.",
        input=CreateScheduleInput,
        output=CreatedSchedule,
        run=_create,
        codes=_GROWTH_CODES,
        payload_bytes=MAX_PAYLOAD_BYTES,
        repeatable=lambda execution, schedule: (
            schedule.idempotency_key is not None and execution.alga.keeps_idempotency_keys
        ),
    ),
    Operation(
        name="scheduler.update",
        capability=CAPABILITY,
        summary="Change a schedule: an absent member is left, nil clears name, payload and window.",
        input=UpdateScheduleInput,
        output=NoOutput,
        run=_update,
        codes=_WRITE_CODES,
        payload_bytes=MAX_PAYLOAD_BYTES,
    ),
    Operation(
        name="scheduler.delete",
        capability=CAPABILITY,
        summary="Delete a schedule; it does not run again.",
        input=ScheduleRef,
        output=NoOutput,
        run=_delete,
        codes=_WRITE_CODES,
    ),
    Operation(
        name="scheduler.get-endpoints",
        capability=CAPABILITY,
        summary="The endpoints of the installed version, ordered by path, with which of them can be scheduled.",
        input=NoInput,
        output=EndpointList,
        run=_get_endpoints,
        codes=READ_CODES,
    ),
)
