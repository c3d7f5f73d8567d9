"""Every run of a schedule so far: the server's record of it, and what its handler did meanwhile."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from .admin import Admin
from .observed import ObservedRunner
from .response import Response
from .run import Run, Runs


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
