"""The vectors, and the SDK's codec guest on the real runner."""

from __future__ import annotations

import base64
import json
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from alga_runner import Observation, Runner, Settings
from alga_runner.alga import Identity, NoAlgaServer
from alga_runner.bundles import MemoryBundles
from alga_runner.errors import HostCallError
from alga_runner.models import CreateScheduleInput, EndpointInfo, ScheduleInfo, UpdateScheduleInput
from tests.support.bundles import make_bundle
from tests.support.patience import PATIENT
from tests.support.requests import execute_request

GUEST_ABI = Path(__file__).parents[3] / "guest-abi"

Call = Callable[..., Awaitable[Observation]]


@dataclass
class OneSchedule(NoAlgaServer):
    """An Alga server that knows one schedule, and fails on demand."""

    schedules: list[ScheduleInfo]
    failure: HostCallError | None = None
    seen: object = None

    def _answer(self, seen: object = None) -> None:
        self.seen = seen
        if self.failure is not None:
            raise self.failure

    async def list_schedules(self, identity: Identity, deadline: float) -> list[ScheduleInfo]:
        self._answer()
        return self.schedules

    async def get_schedule(
        self, identity: Identity, schedule_id: str, deadline: float
    ) -> ScheduleInfo | None:
        self._answer(schedule_id)
        return next((schedule for schedule in self.schedules if schedule.id == schedule_id), None)

    async def create_schedule(
        self,
        identity: Identity,
        schedule: CreateScheduleInput,
        deadline: float,
        *,
        idempotency_key: str | None = None,
    ) -> str:
        self._answer(schedule)
        return "created-1"

    async def update_schedule(
        self, identity: Identity, changes: UpdateScheduleInput, deadline: float
    ) -> None:
        self._answer(changes)

    async def delete_schedule(self, identity: Identity, schedule_id: str, deadline: float) -> None:
        self._answer(schedule_id)

    async def get_endpoints(self, identity: Identity, deadline: float) -> list[EndpointInfo]:
        self._answer()
        return [EndpointInfo(id="e-1", method="POST", path="/sync", handler="dist/main", schedulable=True)]


@pytest.fixture(scope="module")
def schedule() -> ScheduleInfo:
    return ScheduleInfo(
        id="s-1",
        endpoint_path="/sync",
        endpoint_method="POST",
        name="Hourly sync",
        cron="0 * * * *",
        timezone="UTC",
        enabled=True,
        payload={"full": False},
        created_at="2026-01-01T12:30:00Z",
    )


@pytest.fixture(scope="module")
def alga(schedule: ScheduleInfo) -> OneSchedule:
    return OneSchedule([schedule])


@pytest.fixture(autouse=True)
def _as_it_was(alga: OneSchedule, schedule: ScheduleInfo) -> None:
    alga.schedules, alga.failure, alga.seen = [schedule], None, None


def built(wasm: Path, target: str) -> bytes:
    """A guest that is not committed; the test is skipped where it was not built."""
    if not wasm.exists():
        pytest.skip(f"the guest is not built: `make {target}` builds it")
    return wasm.read_bytes()


@asynccontextmanager
async def running(wasm: bytes, alga: OneSchedule) -> AsyncIterator[Call]:
    """Ask the guest that ``wasm`` is: ``await call("/value", data)``."""
    bundles = MemoryBundles()
    content_hash = bundles.add(make_bundle(wasm))

    async with Runner(
        Settings(max_guests=8, max_memory_mb=16, **PATIENT), alga=alga, bundles=bundles
    ) as runner:

        async def call(
            path: str, data: bytes = b"", *, providers: tuple[str, ...] = ("cap:scheduler.manage",)
        ) -> Observation:
            request = execute_request(
                content_hash,
                context={"extension_id": "com.example.codec", "config": {"intervalHours": "6"}},
                http={
                    "path": path,
                    "body_b64": base64.b64encode(data).decode(),
                    "headers": {"X-Kind": "probe"},
                },
                providers=list(providers),
            )
            return await runner.observe(request)

        yield call


@pytest.fixture(scope="module")
async def codec(alga: OneSchedule) -> AsyncIterator[Call]:
    """Ask the codec guest (guest-abi/assemblyscript/tests/codec.ts)."""
    async with running((GUEST_ABI / "assemblyscript/tests/codec.wasm").read_bytes(), alga) as call:
        yield call


@pytest.fixture(scope="module")
async def rust(alga: OneSchedule) -> AsyncIterator[Call]:
    """Ask the Rust SDK's guest (guest-abi/rust/examples/probe.rs)."""
    async with running((GUEST_ABI / "rust/tests/probe.wasm").read_bytes(), alga) as call:
        yield call


@pytest.fixture(scope="module")
async def rust_on_wasi(alga: OneSchedule) -> AsyncIterator[Call]:
    """Ask the same guest, built for WASI."""
    async with running(
        built(GUEST_ABI.parent / ".make/guest-rust-wasi/probe.wasm", "guest-rust"), alga
    ) as call:
        yield call


@pytest.fixture(scope="module")
async def c(alga: OneSchedule) -> AsyncIterator[Call]:
    """Ask the C SDK's guest (guest-abi/c/tests/probe.c)."""
    async with running((GUEST_ABI / "c/tests/probe.wasm").read_bytes(), alga) as call:
        yield call


@pytest.fixture(scope="module")
async def go(alga: OneSchedule) -> AsyncIterator[Call]:
    """Ask the Go SDK's guest (guest-abi/go/tests/probe)."""
    async with running(built(GUEST_ABI / "go/tests/probe.wasm", "guest-go"), alga) as call:
        yield call


@pytest.fixture(scope="session")
def vectors() -> Callable[[str], list[dict[str, Any]]]:
    """The vectors of one file, their ``value`` in plain Python."""

    def read(name: str) -> list[dict[str, Any]]:
        vectors: list[dict[str, Any]] = json.loads((GUEST_ABI / "vectors" / name).read_text("utf-8"))
        return [{**vector, "value": _plain(vector.get("value"))} for vector in vectors]

    return read


def _plain(value: Any) -> Any:
    """What the tagged forms mean (guest-abi/vectors/README.md)."""
    if isinstance(value, list):
        return [_plain(item) for item in value]
    if not isinstance(value, dict):
        return value
    match value:
        case {"$bin": str(text)}:
            return bytes.fromhex(text)
        case {"$int": str(text)}:
            return int(text)
        case {"$float": str(text)}:
            return float(text)
    return {key: _plain(member) for key, member in value.items()}
