"""Extism with host functions that do what the runner does: decode, validate with the same models, encode, count."""

from __future__ import annotations

import extism
import msgpack
from prometheus_client import Counter

from alga_runner.capabilities.operation import NoInput
from alga_runner.models import CreateScheduleInput, ScheduleInfo, ScheduleList

from .extism import Reused
from .workload import SCHEDULE, SCHEDULE_ID

calls = Counter("calls", "Host calls.", ["operation", "status"])
schedules = [ScheduleInfo.model_validate(SCHEDULE)]


@extism.host_fn(name="scheduler_create")  # type: ignore[untyped-decorator, unused-ignore]
def create(request: bytes) -> bytes:
    """``scheduler.create``, of a server in process that answers immediately."""
    CreateScheduleInput.model_validate(msgpack.unpackb(request))
    # No model of the reply: the runner makes none either.
    reply: bytes = msgpack.packb({"ok": {"scheduleId": SCHEDULE_ID}})
    calls.labels("scheduler.create", "ok").inc()
    return reply


@extism.host_fn(name="scheduler_list")  # type: ignore[untyped-decorator, unused-ignore]
def list_(request: bytes) -> bytes:
    """``scheduler.list``, likewise."""
    NoInput.model_validate(msgpack.unpackb(request))
    listed = ScheduleList(schedules=schedules)
    reply: bytes = msgpack.packb({"ok": listed.model_dump(by_alias=True, exclude_none=True)})
    calls.labels("scheduler.list", "ok").inc()
    return reply


class SameWork(Reused):
    """One plugin for all calls, with these functions."""

    functions = (create, list_)

    def answered(self) -> int:
        """As the counter has it."""
        samples = [sample for metric in calls.collect() for sample in metric.samples]
        return int(sum(sample.value for sample in samples if sample.name == "calls_total"))
