"""A runner with few places, whose guests wait for a server that answers when a test lets it."""

from __future__ import annotations

from collections import Counter
from collections.abc import AsyncIterator, Callable
from typing import Any

import anyio
import pytest
from wasmtime import wat2wasm

from alga_runner import ExecuteRequest, Runner, Settings
from alga_runner.alga import Identity
from alga_runner.alga.connect import NoAlgaServer
from alga_runner.bundles import Bundle, MemoryBundles
from alga_runner.engine.context import engine_context
from alga_runner.models import ScheduleInfo

MANIFEST = b'{"name": "com.example.test", "version": "1.0.0", "runtime": "wasm-wat@1"}'


class HoldingAlga(NoAlgaServer):
    """Keeps every call until it is let go; ``asked`` are the tenants that asked, in order."""

    def __init__(self) -> None:
        self.asked: list[str] = []
        self.going = anyio.Event()

    async def list_schedules(self, identity: Identity, deadline: float) -> list[ScheduleInfo]:
        self.asked.append(identity.tenant_id)
        await self.going.wait()
        return []

    def let_go(self) -> None:
        """Answer everybody who waits now; those who ask later wait again."""
        self.going.set()
        self.going = anyio.Event()

    @property
    def tenants(self) -> Counter[str]:
        return Counter(self.asked)


@pytest.fixture
def alga() -> HoldingAlga:
    return HoldingAlga()


@pytest.fixture
def settings() -> Settings:
    return Settings(
        max_guests=3, max_guests_per_tenant=2, max_queued=4, max_queued_per_tenant=3, max_memory_mb=4
    )


@pytest.fixture
async def runner(settings: Settings, bundles: MemoryBundles, alga: HoldingAlga) -> AsyncIterator[Runner]:
    async with Runner(settings, bundles=bundles, alga=alga) as running:
        yield running


Request = Callable[..., ExecuteRequest]


@pytest.fixture
def request_of(bundles: MemoryBundles, guest_wat: Callable[..., str]) -> Request:
    """A request of a tenant for a guest that makes one host call, or for another ``guest``."""
    asks = guest_wat(
        """(drop (call $list (i32.const 1024) (i32.const 1) (i32.const 2048) (i32.const 1024)))
           (call $respond (i32.const 0) (global.get $ok))""",
        imports='(import "alga:scheduler" "list" (func $list (param i32 i32 i32 i32) (result i32)))',
        data=b"\xc0",
    )

    def build(tenant: str = "acme", guest: str | None = None, **limits: Any) -> ExecuteRequest:
        wasm = bytes(wat2wasm(guest or asks))
        files = {"manifest.json": MANIFEST, "dist/main.wasm": wasm}
        context = {
            "tenant_id": tenant,
            "extension_id": "ext",
            "install_id": "install-1",
            "content_hash": bundles.add(Bundle.from_files(files)),
        }
        return ExecuteRequest.model_validate(
            {
                "context": context,
                "http": {"method": "POST", "path": "/go"},
                "providers": ["cap:scheduler.manage"],
                "limits": limits,
            }
        )

    return build


@pytest.fixture
def live_guests() -> Callable[[], int]:
    """How many guests are alive in this process."""

    def count() -> int:
        return sum(engine.ticker.live for engine in engine_context._engines.values())

    return count
