"""Memory that executions leave behind, by how they end."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import anyio

from alga_runner import ExecuteRequest
from alga_runner.alga import Identity
from alga_runner.errors import AlgaError, DeadlineExceeded, GuestTrap
from alga_runner.models import CreateScheduleInput

from ..child import Counts, Work, WrongAnswer
from .alga import Execute, PromptServer
from .memory import resident_kb
from .workload import works


class MoodyServer(PromptServer):
    """Answers, never answers, or breaks."""

    mood = "prompt"

    async def create_schedule(
        self,
        identity: Identity,
        schedule: CreateScheduleInput,
        deadline: float,
        *,
        idempotency_key: str | None = None,
    ) -> str:
        """By its mood."""
        if self.mood == "broken":
            raise RuntimeError("the server broke")
        if self.mood == "mute":
            self.asked.set()
            await anyio.sleep_forever()
        return await super().create_schedule(identity, schedule, deadline)

    asked: anyio.Event


class Leak(Execute):
    """An order names a ``kind`` and a ``count``; the counts have resident memory before and after."""

    def __init__(self) -> None:
        super().__init__()
        self.server: MoodyServer = MoodyServer()

    async def prepare(self, order: Mapping[str, Any]) -> Work:
        """Nothing to build."""
        kind, count = order["kind"], order["count"]

        async def run() -> Counts:
            before_kb = resident_kb()
            await self._repeat(kind, count)
            return {"done": count, "before_kb": before_kb, "after_kb": resident_kb()}

        return run

    async def _repeat(self, kind: str, count: int) -> None:
        path = {"ok": "/create/1", "trap": "/trap", "deadline": "/compute/1000000"}.get(kind, "/create/1")
        self.server.mood = {"killed": "mute", "host_error": "broken"}.get(kind, "prompt")
        document = works(path, self._content_hash)[0].document
        if kind == "deadline":
            document = {**document, "limits": {"timeout_ms": 1}}
        request = ExecuteRequest.model_validate(document)
        for _ in range(count):
            if kind == "killed":
                await self._kill(request)
                continue
            try:
                await self.runner.execute(request)
                ended: type[AlgaError] | None = None
            except AlgaError as error:
                ended = type(error)
            if ended is not _ENDS[kind]:
                raise WrongAnswer(ended)

    async def _kill(self, request: ExecuteRequest) -> None:
        """Cancel the execution while it waits for the server."""
        self.server.asked = anyio.Event()
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(self.runner.execute, request)
            await self.server.asked.wait()
            tasks.cancel_scope.cancel()


_ENDS: dict[str, type[AlgaError] | None] = {
    "ok": None,
    "trap": GuestTrap,
    "host_error": GuestTrap,  # the guest gets the error, and traps
    "deadline": DeadlineExceeded,
}
