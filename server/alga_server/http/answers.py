"""The shapes of answers, for the OpenAPI document. Fuzzed answers are compared with them (tests/fuzz)."""

from __future__ import annotations

from typing import Literal

from pydantic import BaseModel, ConfigDict
from pydantic.alias_generators import to_camel

from alga_runner.models import EndpointInfo, ScheduleInfo

from ..firing.reconcile.checks import Kind
from ..schedules.policies import MisfireKind


class _Answered(BaseModel):
    model_config = ConfigDict(alias_generator=to_camel, populate_by_name=True)


class SchemaFaults(_Answered):
    """What keeps a request from even having the shape; messages come in lists (alga-contract 5.1)."""

    form_errors: list[str]
    field_errors: dict[str, list[str]]


class MissingEndpoint(_Answered):
    """A schedule whose endpoint a version lacks."""

    schedule_id: str
    method: str
    path: str


class Refusal(_Answered):
    """Why not: ``code`` is stable, ``fieldErrors`` has every field that is wrong."""

    error: str
    code: str
    success: Literal[False] = False
    details: SchemaFaults | None = None
    field_errors: dict[str, str] = {}
    missing: list[MissingEndpoint] = []


class ScheduleListed(_Answered):
    """The install's schedules, oldest first."""

    schedules: list[ScheduleInfo]


class ScheduleFound(_Answered):
    """One schedule, or null."""

    schedule: ScheduleInfo | None


class Created(_Answered):
    """The new schedule's id."""

    success: Literal[True]
    schedule_id: str


class Done(_Answered):
    """It happened."""

    success: Literal[True]


class EndpointsListed(_Answered):
    """The endpoints of the installed version, by path."""

    endpoints: list[EndpointInfo]


class PublishedVersion(_Answered):
    """A version as it was published."""

    extension_id: str
    name: str
    version_id: str
    version: str
    content_hash: str
    capabilities: list[str]
    endpoints: list[EndpointInfo]


class ExtensionVersion(_Answered):
    """One version of an extension."""

    version_id: str
    version: str
    content_hash: str
    capabilities: list[str]
    created_at: str


class ExtensionShown(_Answered):
    """An extension and its versions, oldest first."""

    extension_id: str
    publisher: str
    name: str
    versions: list[ExtensionVersion]


class ExtensionsListed(_Answered):
    """Every extension."""

    extensions: list[ExtensionShown]


class InstallShown(_Answered):
    """An install; ``grants`` is what was listed, ``providers`` what its executions receive."""

    install_id: str
    tenant_id: str
    extension_id: str
    extension_name: str
    version_id: str
    version: str
    content_hash: str
    enabled: bool
    config: dict[str, str]
    grants: list[str]
    providers: list[str]
    endpoints: list[EndpointInfo]
    created_at: str
    updated_at: str


class UpgradedInstall(InstallShown):
    """An install at another version, and what became of its schedules and grants."""

    previous_version: str
    grants_ended: list[str]
    schedules_remapped: int
    schedules_disabled: list[MissingEndpoint]


class InstallsListed(_Answered):
    """What a tenant has installed."""

    installs: list[InstallShown]


class ScheduleShown(ScheduleInfo):
    """A schedule, who made it, when it fires next, and what it does about missed times and failed runs."""

    trigger: str
    next_run_at: str | None
    missed_runs: MisfireKind
    missed_window_seconds: int | None
    max_attempts: int
    retry_delay_seconds: int
    retry_factor: int
    retry_at: str | None


class SchedulesShown(_Answered):
    """The schedules of an install."""

    schedules: list[ScheduleShown]


class TenantScheduleShown(ScheduleShown):
    """A schedule, and whose it is."""

    install_id: str
    extension_name: str


class TenantSchedulesShown(_Answered):
    """The schedules of a tenant."""

    schedules: list[TenantScheduleShown]


class RunShown(_Answered):
    """A run; ``dueAt`` is the instant of its ``nominalTime``."""

    id: str
    tenant_id: str
    install_id: str
    schedule_id: str
    trigger: str
    nominal_time: str
    due_at: str
    attempt: int
    status: str
    reason: str | None
    missed: int
    http_status: int | None
    error_code: str | None
    error_message: str | None
    request_id: str
    started_at: str
    finished_at: str | None
    duration_ms: int | None


class RunsListed(_Answered):
    """Runs, newest first; ``cursor`` continues."""

    runs: list[RunShown]
    cursor: str | None


class ClockShown(_Answered):
    """Where the development clock stands."""

    now: str


class Travelled(ClockShown):
    """What fired on the way; ``arrived`` is false when the clock stopped before its end."""

    fired: list[RunShown]
    arrived: bool


class Health(BaseModel):
    """The server answers, and so does its database."""

    status: Literal["ok"]


class DiscrepancyShown(_Answered):
    """A schedule, or a run of one, whose job was not what it should be."""

    discrepancy: Kind
    healed: bool
    tenant_id: str
    install_id: str
    schedule_id: str
    run_id: str | None


class Reconciled(_Answered):
    """How many schedules were looked at, and what was wrong."""

    examined: int
    discrepancies: list[DiscrepancyShown]
