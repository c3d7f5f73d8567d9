"""Runs of schedules, as a test looks at them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Self

from ..capabilities import HostCallRecord, LogLine
from .response import Response


@dataclass(frozen=True, slots=True)
class Run:
    """One run of a schedule, or one that was skipped, as the server recorded it. Instants are RFC 3339 in UTC."""

    id: str
    tenant: str
    install_id: str
    schedule_id: str
    name: str | None
    """The schedule's name; ``None`` when it has none, or was gone before anybody could ask."""
    trigger: str
    """``schedule``, or ``run_now``."""
    nominal_time: str
    """The time that the schedule names, in its own zone."""
    due_at: str
    """The instant of the nominal time."""
    attempt: int
    """Counts the attempts at the nominal time, from 1."""
    started_at: str
    status: str
    """``success``, ``error``, ``skipped`` or ``lost``."""
    reason: str | None
    """Why it was skipped or lost; ``missed`` when it made up for what was missed."""
    missed: int
    """How many times were passed over: earlier ones, and itself if it did not run."""
    http_status: int | None
    error_code: str | None
    error: str | None
    """What went wrong, in words."""
    response: Response | None
    """What the handler answered, with its log and host calls; ``None`` when nothing was executed."""

    @classmethod
    def read(cls, answer: Mapping[str, Any], name: str | None, response: Response | None) -> Self:
        """``answer`` is the admin API's."""
        return cls(
            id=answer["id"],
            tenant=answer["tenantId"],
            install_id=answer["installId"],
            schedule_id=answer["scheduleId"],
            name=name,
            trigger=answer["trigger"],
            nominal_time=answer["nominalTime"],
            due_at=answer["dueAt"],
            attempt=answer["attempt"],
            started_at=answer["startedAt"],
            status=answer["status"],
            reason=answer["reason"],
            missed=answer["missed"],
            http_status=answer["httpStatus"],
            error_code=answer["errorCode"],
            error=answer["errorMessage"],
            response=response,
        )

    def __repr__(self) -> str:
        told = " ".join(filter(None, [self.reason, self.error_code])) or self.http_status
        words = f": {self.error}" if self.error else ""
        return f"<Run of {self.name or self.schedule_id} at {self.nominal_time}: {self.status} {told}{words}>"

    @property
    def log(self) -> list[LogLine]:
        """The lines that its handler wrote."""
        return self.response.log if self.response else []

    @property
    def host_calls(self) -> list[HostCallRecord]:
        """The host calls that its handler made."""
        return self.response.host_calls if self.response else []


class Runs(list[Run]):
    """Runs in the order in which they fired."""

    @property
    def failed(self) -> Runs:
        """Those that ended with an error or were lost. A run that was skipped did not fail."""
        return Runs(run for run in self if run.status in {"error", "lost"})
