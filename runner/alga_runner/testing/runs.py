"""Schedules and their runs, as a test sees them: the server's record, and the observation of the execution."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import Any, Protocol, Self, TypeVar

from ..capabilities import HostCallRecord, LogLine
from ..models import ScheduleInfo
from .admin import Admin
from .response import Response
from .runner import ObservedRunner

T = TypeVar("T")


class Schedule(ScheduleInfo):
    """A schedule as an admin sees it: ``trigger`` is ``host_api`` or ``admin_api``, ``next_run_at`` is RFC 3339."""

    trigger: str
    next_run_at: str | None = None


@dataclass(frozen=True, slots=True)
class Run:
    """One run of a schedule, or one that was skipped, as the server recorded it. Instants are RFC 3339 in UTC.

    [run] = alga.clock.advance(hours=1)
    assert run.status == "success"
    """

    id: str
    tenant: str
    install_id: str
    schedule_id: str
    name: str | None
    """The schedule's name; ``None`` without one, or if the schedule was deleted before its name was known."""
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
    """Why it was skipped or lost; ``missed`` when it fired late for a missed occurrence."""
    missed: int
    """How many occurrences were passed over: earlier ones, and its own if it was skipped."""
    http_status: int | None
    error_code: str | None
    error: str | None
    """The error, in words."""
    response: Response | None
    """The handler's response, with its log and host calls; ``None`` when nothing was executed."""

    @classmethod
    def read(cls, answer: Mapping[str, Any], name: str | None, response: Response | None) -> Self:
        """The run in ``answer``, the admin API's."""
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
        detail = " ".join(filter(None, [self.reason, self.error_code])) or self.http_status
        error = f": {self.error}" if self.error else ""
        return (
            f"<Run of {self.name or self.schedule_id} at {self.nominal_time}: {self.status} {detail}{error}>"
        )

    @property
    def log(self) -> list[LogLine]:
        """The lines that its handler wrote."""
        return self.response.log if self.response else []

    @property
    def host_calls(self) -> list[HostCallRecord]:
        """The host calls that its handler made."""
        return self.response.host_calls if self.response else []


class Runs(list[Run]):
    """Runs in the order in which they fired.

    assert not alga.clock.advance(days=1).failed
    """

    @property
    def failed(self) -> Runs:
        """The runs that ended with an error or were lost. A skipped run did not fail."""
        return Runs(run for run in self if run.status in {"error", "lost"})


class Chronicle:
    """Collects the runs that fired on ``runner``, oldest first."""

    def __init__(self, admin: Admin, runner: ObservedRunner) -> None:
        self.runs = Runs()
        self._admin = admin
        self._runner = runner
        self._tenants: set[str] = set()
        self._names: dict[str, str | None] = {}

    def include(self, tenant_id: str) -> None:
        """Ask for the schedules of this tenant, too."""
        self._tenants.add(tenant_id)

    async def learn_names(self) -> None:
        """Ask for the names of all schedules, before they fire: a run may delete its own schedule."""
        for tenant_id in self._tenants:
            for schedule in await self._admin.schedules_of_tenant(tenant_id):
                self._names[schedule["id"]] = schedule["name"]

    async def add(self, answers: Iterable[Mapping[str, Any]]) -> Runs:
        """Add the runs in ``answers``, the admin API's, and return them."""
        answers = list(answers)
        if any(answer["scheduleId"] not in self._names for answer in answers):
            await self.learn_names()
        runs = Runs(map(self._run, answers))
        self.runs += runs
        return runs

    def _run(self, answer: Mapping[str, Any]) -> Run:
        name = self._names.get(answer["scheduleId"])
        observation = self._runner.take(answer["requestId"])
        call = f"the schedule {name or answer['scheduleId']} at {answer['nominalTime']}"
        return Run.read(answer, name, Response(observation, call) if observation else None)


class Loop(Protocol):
    """The interface of ``Alga`` that its extensions and its clock use: it runs calls on an event loop."""

    def run(self, do: Callable[[], Awaitable[T]]) -> T:
        """Run ``do`` on the event loop."""
        ...

    def note(self, responses: Iterable[Response]) -> None:
        """Add the log lines and host calls of ``responses``."""
        ...

    def runs(self) -> Runs:
        """Every run of a schedule so far."""
        ...
