"""Schedules and endpoints, as operations exchange them (docs/capabilities.md, Operations)."""

from __future__ import annotations

from pydantic import Field

from ._base import CamelModel
from .json_value import JsonValue, ReadableJson

_CLEARABLE = frozenset({"name", "payload", "missedWindowSeconds"})


class ScheduleInfo(CamelModel):
    """One schedule of the calling install. Times are RFC 3339 strings in UTC."""

    id: str
    endpoint_path: str
    endpoint_method: str
    name: str | None = None
    cron: str
    timezone: str
    enabled: bool
    payload: ReadableJson = None
    last_run_at: str | None = None
    last_run_status: str | None = None
    last_error: str | None = None
    created_at: str | None = None


class EndpointInfo(CamelModel):
    """One endpoint of the installed version; ``schedulable`` means GET or POST without path parameters."""

    id: str
    method: str
    path: str
    handler: str
    schedulable: bool


class ScheduleRef(CamelModel):
    """Names one schedule of the calling install."""

    schedule_id: str = Field(max_length=64)


class SchedulePolicies(CamelModel):
    """What a schedule does about missed times and failed runs; absent members take defaults, or are left."""

    missed_runs: str | None = None
    missed_window_seconds: int | None = None
    max_attempts: int | None = None
    retry_delay_seconds: int | None = None
    retry_factor: int | None = None


class CreateScheduleInput(SchedulePolicies):
    """A schedule to create: ``endpoint`` is ``/path`` or ``METHOD /path``; absent members take defaults."""

    endpoint: str
    cron: str
    timezone: str | None = None
    enabled: bool | None = None
    name: str | None = None
    payload: JsonValue = None


class UpdateScheduleInput(SchedulePolicies):
    """Changes to a schedule: an absent member is left, ``None`` clears ``name``, ``payload`` and the window.

    For the others ``None`` reads as absent (guest ABI, "Messages"). ``changes()`` is what goes on the wire.
    """

    schedule_id: str = Field(max_length=64)
    endpoint: str | None = None
    cron: str | None = None
    timezone: str | None = None
    enabled: bool | None = None
    name: str | None = None
    payload: JsonValue = None

    def changes(self) -> dict[str, object]:
        """The members that were given, camelCase, without the schedule's id."""
        given = self.model_dump(by_alias=True, exclude_unset=True, exclude={"schedule_id"})
        return {name: value for name, value in given.items() if value is not None or name in _CLEARABLE}


class CreatedSchedule(CamelModel):
    """What a successful create answers."""

    schedule_id: str


class ScheduleList(CamelModel):
    """What a list of schedules answers."""

    schedules: list[ScheduleInfo]


class FoundSchedule(CamelModel):
    """What the search for a schedule answers: ``schedule`` is absent when the install has none with that id."""

    schedule: ScheduleInfo | None = None


class EndpointList(CamelModel):
    """What a list of endpoints answers."""

    endpoints: list[EndpointInfo]
