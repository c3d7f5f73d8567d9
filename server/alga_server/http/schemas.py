"""Models of requests and answers: base classes, refusals, and the schedules that host calls and admins share.

Requests about schedules are only described here; ``schedules`` checks them, with the contract's messages. The model of
every other request checks it. Fuzzed answers are compared with the models (tests/hostile).
"""

from __future__ import annotations

from datetime import datetime
from http import HTTPStatus
from typing import Annotated, Any, Literal

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, PlainSerializer
from pydantic.alias_generators import to_camel

from alga_common.text import storable
from alga_common.wire import MAX_SELECTOR
from alga_runner.models import EndpointInfo, ScheduleInfo

from ..execution.warmup import Status as WarmupStatus
from ..schedules.cron import MAX_LENGTH, MAX_ZONE_LENGTH
from ..schedules.idempotency import MAX_KEY
from ..schedules.policies import MAX_ATTEMPTS, MAX_DELAY_S, MAX_FACTOR, MisfireKind
from ..schedules.schedules import MAX_WINDOW_S, rfc3339
from ..schedules.validation import MAX_NAME

MAX_TEXT = 16 * 1024

_UUID = r"^[0-9a-fA-F]{8}(-[0-9a-fA-F]{4}){3}-[0-9a-fA-F]{12}$"
_Cron = Field(max_length=MAX_LENGTH, examples=["0 4 * * *"])
_Payload = dict[str, Any] | list[Any] | None


class Input(BaseModel):
    """A request, checked strictly: an unknown member, most often a typing mistake, is refused."""

    model_config = ConfigDict(
        extra="forbid", frozen=True, strict=True, alias_generator=to_camel, populate_by_name=True
    )


class Output(BaseModel):
    """An answer, made from the attributes of the object it shows."""

    model_config = ConfigDict(alias_generator=to_camel, populate_by_name=True, from_attributes=True)


class _Described(BaseModel):
    """A request that ``schedules`` checks."""

    model_config = ConfigDict(alias_generator=to_camel, populate_by_name=True)


def _storable(text: str) -> str:
    if not storable(text):
        raise ValueError("holds characters that cannot be stored")
    return text


Text = Annotated[str, Field(max_length=MAX_TEXT), AfterValidator(_storable)]
"""Text of a request: its length is bounded, and every database can store it."""

Instant = Annotated[datetime, PlainSerializer(rfc3339, return_type=str)]
"""Shown as RFC 3339 in UTC."""

Names = Annotated[frozenset[str], PlainSerializer(sorted, return_type=list[str])]
"""Shown sorted."""


def refused(*statuses: int) -> dict[int | str, dict[str, Any]]:
    """Return a route's ``responses`` for the refusals it may answer with."""
    return {status: {"model": Refusal, "description": HTTPStatus(status).phrase} for status in statuses}


class SchemaFaults(Output):
    """Fields that are missing or have another type; messages are in lists (alga-contract 5.1)."""

    form_errors: list[str]
    field_errors: dict[str, list[str]]


class MissingEndpoint(Output):
    """A schedule whose endpoint a version lacks."""

    schedule_id: str
    method: str
    path: str


class WarmupShown(Output):
    """Whether the runner has the version loaded. If it is ``refused``, its executions would fail for that reason."""

    status: WarmupStatus
    duration_ms: int
    code: str | None
    message: str | None
    hint: str | None


class Refusal(Output):
    """A refusal: ``code`` is stable, ``fieldErrors`` has every field that breaks a rule."""

    error: str
    code: str
    success: Literal[False] = False
    details: SchemaFaults | None = None
    field_errors: dict[str, str] = {}
    missing: list[MissingEndpoint] = []


class Health(Output):
    """The server answers, and so does its database."""

    status: Literal["ok"]


class Readiness(Output):
    """The codes of the checks by their names, and a sentence for each that failed."""

    status: Literal["ready", "not_ready"]
    checks: dict[str, str]
    failures: dict[str, str]


class TokenAccepted(Output):
    """The runner's token is the server's."""

    status: Literal["ok"]


class ScheduleListed(Output):
    """The install's schedules, oldest first; ``nextCursor`` if it is a page and more follow."""

    schedules: list[ScheduleInfo]
    next_cursor: str | None = None


class ScheduleFound(Output):
    """One schedule, or null."""

    schedule: ScheduleInfo | None


class Created(Output):
    """The new schedule's id."""

    success: Literal[True]
    schedule_id: str


class Done(Output):
    """The change was made."""

    success: Literal[True]


class EndpointsListed(Output):
    """The endpoints of the installed version, by path."""

    endpoints: list[EndpointInfo]


class Policies(_Described):
    """A schedule's policies for misfires and failed runs; on create null and absent members take defaults."""

    missed_runs: MisfireKind = "latest"
    missed_window_seconds: int | None = Field(default=None, ge=1, le=MAX_WINDOW_S)
    max_attempts: int = Field(default=1, ge=1, le=MAX_ATTEMPTS)
    retry_delay_seconds: int = Field(default=60, ge=1, le=MAX_DELAY_S)
    retry_factor: int = Field(default=2, ge=1, le=MAX_FACTOR)


class ScheduleInput(_Described):
    """A schedule to create: ``endpoint`` is ``/path`` or ``METHOD /path``; null and absent members take defaults."""

    endpoint: str = Field(max_length=MAX_SELECTOR, examples=["/sync", "POST /sync"])
    cron: str = _Cron
    timezone: str | None = Field(default=None, max_length=MAX_ZONE_LENGTH, examples=["UTC", "Europe/Berlin"])
    enabled: bool | None = None
    name: str | None = Field(default=None, max_length=MAX_NAME)
    payload: _Payload = None


class CreateRequest(ScheduleInput, Policies):
    """A schedule to create, once for each ``idempotencyKey``."""

    idempotency_key: str | None = Field(default=None, min_length=1, max_length=MAX_KEY)


class ScheduleChanges(_Described):
    """Changes: an absent member changes nothing, null clears ``name`` and ``payload``."""

    endpoint: str = Field(default="", max_length=MAX_SELECTOR, examples=["/sync"])
    cron: str = Field(default="", max_length=MAX_LENGTH, examples=["0 4 * * *"])
    timezone: str | None = Field(default=None, max_length=MAX_ZONE_LENGTH)
    enabled: bool = True
    name: str | None = Field(default=None, max_length=MAX_NAME)
    payload: _Payload = None


class AdminSchedule(ScheduleInput, Policies):
    """A schedule to create, with its policies. An unknown member is refused."""

    model_config = ConfigDict(extra="forbid")


class AdminChanges(ScheduleChanges, Policies):
    """Changes: an absent member changes nothing, null clears ``name``, ``payload`` and the window.

    An unknown member is refused.
    """

    model_config = ConfigDict(extra="forbid")


class UpdateRequest(ScheduleChanges, Policies):
    """Changes, and the schedule to change."""

    schedule_id: str = Field(pattern=_UUID)


class ScheduleRefRequest(_Described):
    """The schedule."""

    schedule_id: str = Field(pattern=_UUID)


class NoMembers(_Described):
    """An object whose members do not matter."""


class ListRequest(NoMembers):
    """All schedules of the install; with ``paged`` one page of them, those after ``cursor``."""

    paged: bool = False
    cursor: str | None = Field(default=None, pattern=r"^[0-9]{1,9}$")


class AlgaList(ListRequest):
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


ALGA_REQUESTS = (AlgaList, AlgaEndpoints, AlgaGet, AlgaCreate, AlgaUpdate, AlgaDelete)
"""The requests of the one route of the ``alga`` dialect."""
