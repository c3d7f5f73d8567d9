"""A runner with few slots, whose guests wait for a server that answers when a test lets it."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable
from typing import Any

import pytest

from alga_runner import ExecuteRequest, Runner, Settings
from alga_runner.bundles import MemoryBundles
from alga_runner.engine.context import engine_context
from tests.support.alga import HoldingAlga
from tests.support.bundles import make_bundle
from tests.support.guests import LIST_IMPORT
from tests.support.patience import PATIENT
from tests.support.requests import execute_request


@pytest.fixture
def alga() -> HoldingAlga:
    return HoldingAlga()


@pytest.fixture
def settings() -> Settings:
    return Settings(
        max_guests=3,
        max_guests_per_tenant=2,
        max_queued=4,
        max_queued_per_tenant=3,
        max_memory_mb=4,
        **PATIENT,
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
        imports=LIST_IMPORT,
        data=b"\xc0",
    )

    def build(tenant: str = "acme", guest: str | None = None, **limits: Any) -> ExecuteRequest:
        content_hash = bundles.add(make_bundle(guest or asks))
        return execute_request(content_hash, tenant=tenant, providers=["cap:scheduler.manage"], limits=limits)

    return build


@pytest.fixture
def live_guests() -> Callable[[], int]:
    """How many guests are alive in this process."""

    def count() -> int:
        return sum(engine.ticker.live for engine in engine_context._engines.values())

    return count
