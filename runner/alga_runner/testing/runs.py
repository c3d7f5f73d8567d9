"""A schedule as an admin sees it.

Runs of schedules, as a test looks at them.

Every run of a schedule so far: the server's record of it, and what its handler did meanwhile.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any, Self

from ..capabilities import HostCallRecord, LogLine
from ..models import ScheduleInfo
from .admin import Admin
from .response import Response
from .runner import ObservedRunner


class Schedule(ScheduleInfo):
    """What its extension sees, who made it (``host_api`` or ``admin_api``), and when it fires next (RFC 3339)."""

    trigger: str
    next_run_at: str | None = None


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


class Chronicle:
    """The runs that ``admin`` made fire on ``runner``, oldest first."""

    def __init__(self, admin: Admin, runner: ObservedRunner) -> None:
        self.runs = Runs()
        self._admin = admin
        self._runner = runner
        self._tenants: set[str] = set()
        self._names: dict[str, str | None] = {}

    def include(self, tenant_id: str) -> None:
        """The tenant has installed something."""
        self._tenants.add(tenant_id)

    async def learn_names(self) -> None:
        """Ask how the schedules are called that there are now: a run may delete its own."""
        for tenant_id in self._tenants:
            for each in await self._admin.schedules_of_tenant(tenant_id):
                self._names[each["id"]] = each["name"]

    async def add(self, answers: Iterable[Mapping[str, Any]]) -> Runs:
        """Take down what fired, as the admin API answers it."""
        answers = list(answers)
        if any(each["scheduleId"] not in self._names for each in answers):
            await self.learn_names()
        runs = Runs(self._run(each) for each in answers)
        self.runs += runs
        return runs

    def _run(self, answer: Mapping[str, Any]) -> Run:
        name = self._names.get(answer["scheduleId"])
        observation = self._runner.take(answer["requestId"])
        call = f"the schedule {name or answer['scheduleId']} at {answer['nominalTime']}"
        return Run.read(answer, name, Response(observation, call) if observation else None)
