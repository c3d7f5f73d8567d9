"""Schedules and endpoints, as operations exchange them (docs/capabilities.md, Operations).

The descriptions are the only ones: ``guest-abi/schema`` and the tables of ``guest-abi/ABI.md`` derive from them.
"""

from __future__ import annotations

from typing import Annotated

from pydantic import Field

from ._base import CamelModel
from .json_value import JsonValue, ReadableJson
from .members import MAX_MEMBERS, CutText, ScheduleId, Text, Whole

_CLEARABLE = frozenset({"name", "payload", "missedWindowSeconds"})

_ENDPOINT = "`/path` or `METHOD /path` of an endpoint in the extension's own manifest"
_CRON = "five fields"
_TIMEZONE = "a name of the IANA database"
_NAME = "unique in the install"
_PAYLOAD = "a map or an array, which the handler gets as JSON"


class ScheduleInfo(CamelModel):
    """One schedule of the calling install."""

    id: ScheduleId
    endpoint_path: Text = Field(description="as in the manifest")
    endpoint_method: Text = Field(description="GET or POST")
    name: Text | None = Field(default=None, description=_NAME)
    cron: Text = Field(description=_CRON)
    timezone: Text = Field(description=_TIMEZONE)
    enabled: bool = Field(description="whether it fires")
    payload: ReadableJson = Field(default=None, description=_PAYLOAD)
    last_run_at: Text | None = Field(default=None, description="when its last run began, RFC 3339 in UTC")
    last_run_status: Text | None = Field(default=None, description="`success` or `error`")
    last_error: CutText | None = Field(default=None, description="why its last run failed, for people")
    created_at: Text | None = Field(default=None, description="RFC 3339 in UTC")


class EndpointInfo(CamelModel):
    """One endpoint of the installed version."""

    id: Text = Field(description="of this version's endpoint")
    method: Text = Field(description="as in the manifest")
    path: Text = Field(description="as in the manifest")
    handler: Text = Field(description="as in the manifest")
    schedulable: bool = Field(description="GET or POST, and no path parameters")


class ScheduleRef(CamelModel):
    """Names one schedule of the calling install."""

    schedule_id: ScheduleId = Field(description="which schedule")


class SchedulePolicies(CamelModel):
    """What a schedule does about missed times and failed runs; absent members take defaults, or are left."""

    missed_runs: Text | None = Field(
        default=None,
        description="for occurrences that were not fired in time: `skip`, `latest` (the default) or `all`",
    )
    missed_window_seconds: Whole | None = Field(
        default=None, description="how late a missed occurrence may still run; without it, any time"
    )
    max_attempts: Whole | None = Field(
        default=None, description="how often a nominal time is tried in all, 1 by default"
    )
    retry_delay_seconds: Whole | None = Field(
        default=None, description="from the end of the first attempt to the second, 60 by default"
    )
    retry_factor: Whole | None = Field(
        default=None, description="by which the wait grows after that, 2 by default"
    )


class CreateScheduleInput(SchedulePolicies):
    """A schedule to create. Absent members take defaults."""

    endpoint: Text = Field(description=_ENDPOINT)
    cron: Text = Field(description=_CRON)
    timezone: Text | None = Field(default=None, description=f"{_TIMEZONE}, UTC by default")
    enabled: bool | None = Field(default=None, description="whether it fires, true by default")
    name: Text | None = Field(default=None, description=_NAME)
    payload: JsonValue = Field(default=None, description=_PAYLOAD)
    idempotency_key: Annotated[str, Field(min_length=1, max_length=128)] | None = Field(
        default=None,
        description="creates of an install with the same key have the first one's result, for a day",
    )

    def members(self) -> dict[str, object]:
        """The members that were given, camelCase."""
        values = self.__dict__
        return {alias: values[name] for name, alias in _CREATED if values[name] is not None}


_CREATED = tuple((name, field.alias or name) for name, field in CreateScheduleInput.model_fields.items())


class UpdateScheduleInput(SchedulePolicies):
    """Changes to a schedule. An absent member is left; nil clears `name`, `payload` and `missedWindowSeconds`.

    For the others ``None`` reads as absent (guest ABI, "Messages"). ``changes()`` is what goes on the wire.
    """

    schedule_id: ScheduleId = Field(description="which schedule")
    endpoint: Text | None = Field(default=None, description=_ENDPOINT)
    cron: Text | None = Field(default=None, description=_CRON)
    timezone: Text | None = Field(default=None, description=_TIMEZONE)
    enabled: bool | None = Field(default=None, description="whether it fires")
    name: Text | None = Field(default=None, description=_NAME)
    payload: JsonValue = Field(default=None, description=_PAYLOAD)

    def changes(self) -> dict[str, object]:
        """The members that were given, camelCase, without the schedule's id."""
        given = self.model_dump(by_alias=True, exclude_unset=True, exclude={"schedule_id"})
        return {name: value for name, value in given.items() if value is not None or name in _CLEARABLE}


class CreatedSchedule(CamelModel):
    """What a successful create answers."""

    schedule_id: ScheduleId = Field(description="the new schedule's")


class ScheduleList(CamelModel):
    """What a list of schedules answers."""

    schedules: Annotated[list[ScheduleInfo], Field(max_length=MAX_MEMBERS)] = Field(
        description="oldest first"
    )


class FoundSchedule(CamelModel):
    """What the search for a schedule answers."""

    schedule: ScheduleInfo | None = Field(
        default=None, description="absent when this install has none with that id"
    )


class EndpointList(CamelModel):
    """What a list of endpoints answers."""

    endpoints: Annotated[list[EndpointInfo], Field(max_length=MAX_MEMBERS)] = Field(
        description="ordered by path"
    )
