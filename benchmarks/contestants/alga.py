"""The runner: ``Runner.execute`` in process, in its default configuration."""

from __future__ import annotations

import base64
import io
from collections.abc import Mapping
from typing import Any, Self

from pydantic_core import to_json

from alga_runner import ExecuteRequest, Settings
from alga_runner.alga import Identity, NoAlgaServer
from alga_runner.bundles import MemoryBundles
from alga_runner.models import CreateScheduleInput, ScheduleInfo
from alga_runner.telemetry import configure_logging

from ..child import Counts, Work, WrongAnswer
from .crowd import crowd
from .sampled import with_samples
from .started import Started
from .workload import SCHEDULE, SCHEDULE_ID, alga_guest, works
from .workload import Work as Task


class PromptServer(NoAlgaServer):
    """An Alga server in process that answers immediately."""

    def __init__(self) -> None:
        self.answered = 0
        self._schedules = [ScheduleInfo.model_validate(SCHEDULE)]

    async def create_schedule(
        self,
        identity: Identity,
        schedule: CreateScheduleInput,
        deadline: float,
        *,
        idempotency_key: str | None = None,
    ) -> str:
        """The new schedule's id."""
        self.answered += 1
        return SCHEDULE_ID

    async def list_schedules(self, identity: Identity, deadline: float) -> list[ScheduleInfo]:
        """One schedule."""
        self.answered += 1
        return self._schedules


class Execute(Started):
    """Executes requests that were built before."""

    def __init__(self, settings: Settings | None = None) -> None:
        super().__init__()
        self.settings = settings
        self.server = PromptServer()
        self._works: dict[str, list[Task]] = {}

    async def __aenter__(self) -> Self:
        self.runner = await self.start(self.server, self.bundles(), self.settings)
        return self

    def bundles(self) -> MemoryBundles:
        """Where the runner finds its guests."""
        bundles = MemoryBundles()
        self._content_hash = bundles.add(alga_guest())
        return bundles

    def tasks(self, order: Mapping[str, Any]) -> list[Task]:
        """As many as are ordered."""
        path, count = order.get("path", "/echo"), order["count"]
        if path not in self._works:
            self._works[path] = works(path, self._content_hash)
        pool = self._works[path]
        return [pool[index % len(pool)] for index in range(count)]

    async def prepare(self, order: Mapping[str, Any]) -> Work:
        """Build each execution a request of its own."""
        tasks = self.tasks(order)
        requests = [ExecuteRequest.model_validate(task.document) for task in tasks]
        pairs = list(zip(requests, _answers(tasks), strict=True))

        execute = self.runner.execute

        async def do(number: int) -> None:
            request, answer = pairs[number]
            response = await execute(request)
            if response.body_b64 != answer or response.status != 200:
                raise WrongAnswer(response)

        async def run() -> Counts:
            answered = self.server.answered
            await crowd(order.get("in_flight", 1), len(pairs), do)
            return {"done": len(pairs), "checked": len(pairs), "host_calls": self.server.answered - answered}

        return run


class ExecuteInPython(Execute):
    """Without the engine's native helper, whether it was built or not."""

    def __init__(self) -> None:
        super().__init__(Settings(native_engine="off"))


class ExecuteJson(Execute):
    """Builds each request from its JSON, and the response's JSON, as the service does."""

    async def prepare(self, order: Mapping[str, Any]) -> Work:
        """Build the JSON."""
        tasks = self.tasks(order)
        bodies = {id(task): to_json(task.document) for task in tasks}
        pairs = [(bodies[id(task)], answer) for task, answer in zip(tasks, _answers(tasks), strict=True)]

        async def run() -> Counts:
            execute, parse = self.runner.execute, ExecuteRequest.model_validate_json
            for body, answer in pairs:
                response = await execute(parse(body))
                if response.body_b64 != answer or not to_json(response):
                    raise WrongAnswer(response)
            return {"done": len(pairs), "checked": len(pairs)}

        return run


class Nowhere(io.StringIO):
    """Counts log lines and discards them."""

    lines = 0

    def write(self, text: str) -> int:
        """Count, and keep nothing."""
        self.lines += text.count("\n")
        return len(text)


class ExecuteLogged(Execute):
    """With a log line for each execution, written as ``alga-runner serve`` writes it; all are written in time."""

    async def __aenter__(self) -> Self:
        self._nowhere = Nowhere()
        configure_logging("info", self._nowhere)
        return await super().__aenter__()

    async def prepare(self, order: Mapping[str, Any]) -> Work:
        """As without; what the log takes to be written is measured, too."""
        work = await super().prepare(order)

        async def run() -> Counts:
            before = self._nowhere.lines
            counts = await work()
            self.runner.telemetry.flush()
            return {**counts, "log_lines": self._nowhere.lines - before}

        return run


def _answers(tasks: list[Task]) -> list[str]:
    encoded = {id(task): base64.b64encode(task.answer).decode() for task in tasks}
    return [encoded[id(task)] for task in tasks]


class ExecuteSampled(Execute):
    """With a timer that samples the running function."""

    async def prepare(self, order: Mapping[str, Any]) -> Work:
        """As without; the counts have the samples, too."""
        return with_samples(await super().prepare(order))
