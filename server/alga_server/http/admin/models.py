"""What admins send and get, camelCase."""

from __future__ import annotations

from typing import Annotated, Any, TypeVar

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, ValidationError
from pydantic.alias_generators import to_camel

from ...catalog.extensions import Extension, Published
from ...catalog.installs import Install
from ...errors import ValidationFailed
from ...firing.runs import Run
from ...schedules.schedules import Schedule, rfc3339
from ...schedules.validation import storable

MAX_CONFIG_ENTRIES = 256
MAX_CONFIG_TEXT = 16 * 1024


def _storable(text: str) -> str:
    if not storable(text):
        raise ValueError("holds characters that cannot be stored")
    return text


_Text = Annotated[str, Field(max_length=MAX_CONFIG_TEXT), AfterValidator(_storable)]
_Config = Annotated[dict[_Text, _Text], Field(max_length=MAX_CONFIG_ENTRIES)]
_Grants = Annotated[list[_Text], Field(max_length=64)]


class AdminInput(BaseModel):
    """Strict: a member nobody knows is a typing mistake, and is refused."""

    model_config = ConfigDict(
        extra="forbid", frozen=True, strict=True, alias_generator=to_camel, populate_by_name=True
    )


class InstallInput(AdminInput):
    """An extension to install: the newest version unless one is named, exactly the listed capabilities."""

    extension_id: _Text
    version_id: _Text | None = None
    grants: _Grants = Field(default_factory=list)
    config: _Config = Field(default_factory=dict)


class InstallChanges(AdminInput):
    """What to change; an absent or null member is left, ``config`` and ``grants`` replace what was there.

    ``add_grants`` and ``remove_grants`` change single capabilities, whatever another admin does at the same time.
    """

    enabled: bool | None = None
    config: _Config | None = None
    grants: _Grants | None = None
    add_grants: _Grants = Field(default_factory=list)
    remove_grants: _Grants = Field(default_factory=list)


class UpgradeInput(AdminInput):
    """The version to go to, the newest unless one is named; what to do with schedules whose endpoint it lacks."""

    version_id: _Text | None = None
    disable_missing_schedules: bool = False


InputT = TypeVar("InputT", bound=AdminInput)


def parse(model: type[InputT], body: dict[str, Any]) -> InputT:
    """``body`` as ``model``. Raises ``ValidationFailed`` with every field that is wrong."""
    try:
        return model.model_validate(body)
    except ValidationError as error:
        faults = error.errors(include_url=False, include_input=False)
        field_errors = {".".join(map(str, fault["loc"])): fault["msg"] for fault in faults}
        raise ValidationFailed(field_errors=field_errors, schema=True) from None


def published_answer(published: Published) -> dict[str, Any]:
    """A version as it was published."""
    return {
        "extensionId": published.extension_id,
        "name": published.name,
        "versionId": published.version_id,
        "version": published.version,
        "contentHash": published.content_hash,
        "capabilities": published.capabilities,
        "endpoints": [each.model_dump(by_alias=True) for each in published.endpoints],
    }


def extension_answer(extension: Extension) -> dict[str, Any]:
    """An extension and its versions, oldest first."""
    return {
        "extensionId": extension.extension_id,
        "publisher": extension.publisher,
        "name": extension.name,
        "versions": [
            {
                "versionId": version.version_id,
                "version": version.version,
                "contentHash": version.content_hash,
                "capabilities": list(version.capabilities),
                "createdAt": rfc3339(version.created_at),
            }
            for version in extension.versions
        ],
    }


def install_answer(install: Install, endpoints: list[Any]) -> dict[str, Any]:
    """An install; ``grants`` is what was listed, ``providers`` what its executions receive."""
    return {
        "installId": install.install_id,
        "tenantId": install.tenant_id,
        "extensionId": install.extension_id,
        "extensionName": install.extension_name,
        "versionId": install.version_id,
        "version": install.version,
        "contentHash": install.content_hash,
        "enabled": install.enabled,
        "config": dict(install.config),
        "grants": sorted(install.grants),
        "providers": sorted(install.providers),
        "endpoints": [each.model_dump(by_alias=True) for each in endpoints],
        "createdAt": rfc3339(install.created_at),
        "updatedAt": rfc3339(install.updated_at),
    }


def schedule_answer(schedule: Schedule) -> dict[str, Any]:
    """A schedule, who made it, when it fires next, and what it does about missed times and failed runs."""
    return {
        **schedule.info.model_dump(by_alias=True),
        "trigger": schedule.trigger,
        "nextRunAt": rfc3339(schedule.next_run_at),
        "missedRuns": schedule.missed_policy,
        "missedWindowSeconds": schedule.missed_window_s,
        "maxAttempts": schedule.retry.attempts,
        "retryDelaySeconds": schedule.retry.delay_s,
        "retryFactor": schedule.retry.factor,
        "retryAt": rfc3339(schedule.retry_at),
    }


def run_answer(run: Run) -> dict[str, Any]:
    """A run; ``dueAt`` is the instant of its ``nominalTime``."""
    return {
        "id": run.id,
        "tenantId": run.tenant_id,
        "installId": run.install_id,
        "scheduleId": run.schedule_id,
        "trigger": run.trigger,
        "nominalTime": run.nominal_time,
        "dueAt": rfc3339(run.due_at),
        "attempt": run.attempt,
        "status": run.status,
        "reason": run.reason,
        "missed": run.missed,
        "httpStatus": run.http_status,
        "errorCode": run.error_code,
        "errorMessage": run.error_message,
        "requestId": run.request_id,
        "startedAt": rfc3339(run.started_at),
        "finishedAt": rfc3339(run.finished_at),
        "durationMs": run.duration_ms,
    }
