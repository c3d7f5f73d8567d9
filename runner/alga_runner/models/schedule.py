"""Schedules and endpoints, as operations exchange them (docs/capabilities.md, Operations)."""

from __future__ import annotations

from typing import Annotated

from pydantic import Field

from ._base import CamelModel
from .json_value import JsonValue, ReadableJson
from .members import MAX_MEMBERS, CutText, ScheduleId, Text, Whole

_CLEARABLE = frozenset({"name", "payload", "missedWindowSeconds"})


class ScheduleInfo(CamelModel):
    """One schedule of the calling install. Times are RFC 3339 strings in UTC."""

    id: ScheduleId
    endpoint_path: Text
    endpoint_method: Text
    name: Text | None = None
    cron: Text
    timezone: Text
    enabled: bool
    payload: ReadableJson = None
    last_run_at: Text | None = None
    last_run_status: Text | None = None
    last_error: CutText | None = None
    created_at: Text | None = None


class EndpointInfo(CamelModel):
    """One endpoint of the installed version; ``schedulable`` means GET or POST without path parameters."""

    id: Text
    method: Text
    path: Text
    handler: Text
    schedulable: bool


class ScheduleRef(CamelModel):
    """Names one schedule of the calling install."""

    schedule_id: ScheduleId


class SchedulePolicies(CamelModel):
    """What a schedule does about missed times and failed runs; absent members take defaults, or are left."""

    missed_runs: Text | None = None
    missed_window_seconds: Whole | None = None
    max_attempts: Whole | None = None
    retry_delay_seconds: Whole | None = None
    retry_factor: Whole | None = None


class CreateScheduleInput(SchedulePolicies):
    """A schedule to create: ``endpoint`` is ``/path`` or ``METHOD /path``; absent members take defaults."""

    endpoint: Text
    cron: Text
    timezone: Text | None = None
    enabled: bool | None = None
    name: Text | None = None
    payload: JsonValue = None


class UpdateScheduleInput(SchedulePolicies):
    """Changes to a schedule: an absent member is left, ``None`` clears ``name``, ``payload`` and the window.

    For the others ``None`` reads as absent (guest ABI, "Messages"). ``changes()`` is what goes on the wire.
    """

    schedule_id: ScheduleId
    endpoint: Text | None = None
    cron: Text | None = None
    timezone: Text | None = None
    enabled: bool | None = None
    name: Text | None = None
    payload: JsonValue = None

    def changes(self) -> dict[str, object]:
        """The members that were given, camelCase, without the schedule's id."""
        given = self.model_dump(by_alias=True, exclude_unset=True, exclude={"schedule_id"})
        return {name: value for name, value in given.items() if value is not None or name in _CLEARABLE}


class CreatedSchedule(CamelModel):
    """What a successful create answers."""

    schedule_id: ScheduleId


class ScheduleList(CamelModel):
    """What a list of schedules answers."""

    schedules: Annotated[list[ScheduleInfo], Field(max_length=MAX_MEMBERS)]


class FoundSchedule(CamelModel):
    """What the search for a schedule answers: ``schedule`` is absent when the install has none with that id."""

    schedule: ScheduleInfo | None = None


class EndpointList(CamelModel):
    """What a list of endpoints answers."""

    endpoints: Annotated[list[EndpointInfo], Field(max_length=MAX_MEMBERS)]
