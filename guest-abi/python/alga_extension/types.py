"""The values that an extension and its host exchange, where they are not those of the generated bindings."""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import Enum
from typing import Final, TypeAlias

Json: TypeAlias = "bool | int | float | str | list[Json] | dict[str, Json] | None"
"""Any value that JSON has a form for."""


class Unset(Enum):
    """The type of ``UNSET``."""

    UNSET = "unset"


UNSET: Final = Unset.UNSET
"""The payload of an update that leaves the stored one as it is; ``None`` clears it."""


class HostError(Exception):
    """The host refused a call: ``code`` is the case of the interface's error type, such as ``denied``."""

    def __init__(self, code: str, operation: str) -> None:
        super().__init__(f"{operation} was refused: {code}")
        self.code = code
        self.operation = operation


@dataclass(frozen=True)
class ScheduleInfo:
    """One schedule of this install. Times are RFC 3339 texts; a schedule without a payload has ``None``."""

    id: str
    endpoint_path: str
    endpoint_method: str
    name: str | None
    cron: str
    timezone: str
    enabled: bool
    payload: Json
    last_run_at: str | None
    last_run_status: str | None
    last_error: str | None
    created_at: str | None


@dataclass(frozen=True)
class EndpointInfo:
    """One endpoint of the installed version."""

    id: str
    method: str
    path: str
    handler: str
    schedulable: bool


@dataclass(frozen=True)
class WriteResult:
    """How a create, an update or a delete went. ``field_errors`` maps a field to what is wrong with it."""

    success: bool
    error: str | None = None
    field_errors: dict[str, str] = field(default_factory=dict)
    schedule_id: str | None = None
    """The new schedule's, of a create that succeeded."""
