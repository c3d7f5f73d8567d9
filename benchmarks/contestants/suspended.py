"""Thousands of guests suspended in one process: the sample, in ``create``, on a server that does not answer yet."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from time import perf_counter
from typing import Any

import anyio

from alga_runner import ExecuteRequest, ExecuteResponse, Runner, Settings
from alga_runner.alga import Identity, NoAlgaServer
from alga_runner.bundles import MemoryBundles, read_bundle
from alga_runner.models import CreateScheduleInput, EndpointInfo, ScheduleInfo

from ..child import Contestant, Counts, Work, WrongAnswer
from .memory import MANY_GUESTS_MB, guests_kb, own_kb, resident_kb

SAMPLES = Path(__file__).resolve().parents[2] / "sample-extensions"
SAMPLE = SAMPLES / "scheduler-demo"
TENANTS = 100


class ReticentServer(NoAlgaServer):
    """Answers ``create`` only once it is ``released``, and everything else immediately."""

    def __init__(self, expected: int) -> None:
        self._expected = expected
        self.released = anyio.Event()
        self.asked = anyio.Event()
        """As often as was expected."""
        self.waiting = 0
        self.created = 0

    async def list_schedules(self, identity: Identity, deadline: float) -> list[ScheduleInfo]:
        """None."""
        return []

    async def get_endpoints(self, identity: Identity, deadline: float) -> list[EndpointInfo]:
        """The one that the sample schedules."""
        return [EndpointInfo(id="e-1", method="POST", path="/sync", handler="dist/main", schedulable=True)]

    async def create_schedule(
        self,
        identity: Identity,
        schedule: CreateScheduleInput,
        deadline: float,
        *,
        idempotency_key: str | None = None,
    ) -> str:
        """Wait."""
        self.waiting += 1
        if self.waiting == self._expected:
            self.asked.set()
        await self.released.wait()
        self.created += 1
        return "6c2f4f0e-5a0c-4c56-9f5e-0d7a3a1f8c11"


class Suspended(Contestant):
    """``count`` concurrent guests; RSS before, while all are suspended, and after."""

    async def prepare(self, order: Mapping[str, Any]) -> Work:
        """Nothing: everything is counted."""
        count = order["count"]
        server = ReticentServer(expected=count)
        bundles = MemoryBundles()
        content_hash = bundles.add(read_bundle(SAMPLES / order.get("sample", SAMPLE.name)))
        settings = Settings(max_guests=min(12_000, count + 200), max_process_memory_mb=MANY_GUESTS_MB)

        async def run() -> Counts:
            async with Runner(settings, alga=server, bundles=bundles) as runner:
                expected = await _warmed_up(runner, server, content_hash)
                before_kb, own_before_kb, guests_before_kb = resident_kb(), own_kb(), guests_kb()
                finished = 0

                async def execute(number: int) -> None:
                    nonlocal finished
                    response = await runner.execute(_request(content_hash, number))
                    if response != expected:
                        raise WrongAnswer(response)
                    finished += 1

                started = perf_counter()
                async with anyio.create_task_group() as tasks:
                    for number in range(count):
                        tasks.start_soon(execute, number)
                    await server.asked.wait()
                    suspended_s = perf_counter() - started
                    suspended_kb, own_suspended_kb = resident_kb(), own_kb()
                    guests_suspended_kb = guests_kb()
                    suspended = server.waiting - finished
                    released = perf_counter()
                    server.released.set()
                return {
                    "done": finished,
                    "suspended": suspended,
                    "created": server.created,
                    "before_kb": before_kb,
                    "suspended_kb": suspended_kb,
                    "after_kb": resident_kb(),
                    "guests_kb": guests_suspended_kb - guests_before_kb,
                    "own_kb": own_suspended_kb - own_before_kb,
                    "suspended_us_each": suspended_s / count * 1e6,
                    "finished_us_each": (perf_counter() - released) / count * 1e6,
                }

        return run


async def _warmed_up(runner: Runner, server: ReticentServer, content_hash: str) -> ExecuteResponse:
    """What the sample answers, once a few have run and all that is loaded lazily is there."""
    server.released.set()
    for number in range(50):
        response = await runner.execute(_request(content_hash, number))
    if response.status != 200 or b"Hourly sync" not in response.body():
        raise WrongAnswer(response)
    server.released, server.asked = anyio.Event(), anyio.Event()
    server.waiting = server.created = 0
    return response


def _request(content_hash: str, number: int) -> ExecuteRequest:
    return ExecuteRequest.model_validate(
        {
            "context": {
                "request_id": f"request-{number}",
                "tenant_id": f"tenant-{number % TENANTS}",
                "extension_id": "com.alga.sample.scheduler-demo",
                "install_id": f"install-{number}",
                "content_hash": content_hash,
            },
            "http": {"method": "POST", "path": "/setup"},
            "limits": {"timeout_ms": 300_000},
            "providers": ["cap:scheduler.manage"],
        }
    )
