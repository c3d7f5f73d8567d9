"""The shapes of requests about schedules, for the OpenAPI document. The rules themselves are in ``schedules``."""

from __future__ import annotations

from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field
from pydantic.alias_generators import to_camel

from ..schedules.cron import MAX_LENGTH
from ..schedules.idempotency import MAX_KEY
from ..schedules.policies import MAX_ATTEMPTS, MAX_DELAY_S, MAX_FACTOR, MisfireKind
from ..schedules.schedules import MAX_WINDOW_S
from ..schedules.validation import MAX_NAME

_UUID = r"^[0-9a-fA-F]{8}(-[0-9a-fA-F]{4}){3}-[0-9a-fA-F]{12}$"
_Cron = Field(max_length=MAX_LENGTH, examples=["0 4 * * *"])
_Payload = dict[str, Any] | list[Any] | None


class _Asked(BaseModel):
    model_config = ConfigDict(alias_generator=to_camel, populate_by_name=True)


class Policies(_Asked):
    """What a schedule does about missed times and failed runs; on create null and absent members take defaults."""

    missed_runs: MisfireKind = "latest"
    missed_window_seconds: int | None = Field(default=None, ge=1, le=MAX_WINDOW_S)
    max_attempts: int = Field(default=1, ge=1, le=MAX_ATTEMPTS)
    retry_delay_seconds: int = Field(default=60, ge=1, le=MAX_DELAY_S)
    retry_factor: int = Field(default=2, ge=1, le=MAX_FACTOR)


class ScheduleInput(_Asked):
    """A schedule to create: ``endpoint`` is ``/path`` or ``METHOD /path``; null and absent members take defaults."""

    endpoint: str = Field(max_length=256, examples=["/sync", "POST /sync"])
    cron: str = _Cron
    timezone: str | None = Field(default=None, max_length=64, examples=["UTC", "Europe/Berlin"])
    enabled: bool | None = None
    name: str | None = Field(default=None, max_length=MAX_NAME)
    payload: _Payload = None


class CreateRequest(ScheduleInput, Policies):
    """A schedule to create, once for each ``idempotencyKey``."""

    idempotency_key: str | None = Field(default=None, min_length=1, max_length=MAX_KEY)


class ScheduleChanges(_Asked):
    """What to change: an absent member is left, null clears ``name`` and ``payload``."""

    endpoint: str = Field(default="", max_length=256, examples=["/sync"])
    cron: str = Field(default="", max_length=MAX_LENGTH, examples=["0 4 * * *"])
    timezone: str | None = Field(default=None, max_length=64)
    enabled: bool = True
    name: str | None = Field(default=None, max_length=MAX_NAME)
    payload: _Payload = None


class AdminSchedule(ScheduleInput, Policies):
    """A schedule to create, with its policies."""


class AdminChanges(ScheduleChanges, Policies):
    """What to change: an absent member is left, null clears ``name``, ``payload`` and the window."""


class UpdateRequest(ScheduleChanges, Policies):
    """What to change, and of which schedule."""

    schedule_id: str = Field(pattern=_UUID)


class ScheduleRefRequest(_Asked):
    """Which schedule."""

    schedule_id: str = Field(pattern=_UUID)


class NoMembers(_Asked):
    """An object whose members do not matter."""


class AlgaList(NoMembers):
    """The install's schedules."""

    operation: Literal["list"]


class AlgaEndpoints(NoMembers):
    """The installed version's endpoints."""

    operation: Literal["getEndpoints"]


class AlgaGet(ScheduleRefRequest):
    """One schedule."""

    operation: Literal["get"]


class AlgaCreate(CreateRequest):
    """A schedule to create."""

    operation: Literal["create"]


class AlgaUpdate(UpdateRequest):
    """Changes to a schedule."""

    operation: Literal["update"]


class AlgaDelete(ScheduleRefRequest):
    """A schedule to delete."""

    operation: Literal["delete"]


AlgaRequest = AlgaList | AlgaEndpoints | AlgaGet | AlgaCreate | AlgaUpdate | AlgaDelete
"""What the one route of the ``alga`` dialect takes."""
