"""The service over ASGI, without a socket, and guests written where they are tested."""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable
from typing import Any

import httpx
import pytest
from pydantic import SecretStr

from alga_runner import Runner, Settings
from alga_runner.bundles import MemoryBundles
from alga_runner.service import Service, create_service
from tests.support.bundles import make_bundle
from tests.support.clock import FakeMonotonic
from tests.support.patience import PATIENT
from tests.support.requests import execute_document

TOKEN = "the-service-token"
HEADERS = {"x-runner-service-token": TOKEN, "x-alga-tenant": "acme", "x-alga-extension": "ext"}

Execute = Callable[..., Awaitable[httpx.Response]]
Publish = Callable[..., str]


@pytest.fixture
def settings() -> Settings:
    return Settings(
        max_guests=4,
        max_guests_per_tenant=4,
        max_memory_mb=4,
        service_token=SecretStr(TOKEN),
        max_http_body_bytes=4096,
        http_body_timeout_ms=300_000,
        idempotency_ttl_ms=60_000,
        **PATIENT,
    )


@pytest.fixture
def clock() -> FakeMonotonic:
    return FakeMonotonic()


@pytest.fixture
def service(runner: Runner, settings: Settings, clock: FakeMonotonic) -> Service:
    return create_service(runner, settings, clock=clock)


@pytest.fixture
async def client(service: Service) -> AsyncIterator[httpx.AsyncClient]:
    transport = httpx.ASGITransport(service)
    async with httpx.AsyncClient(transport=transport, base_url="http://runner") as client:
        yield client


@pytest.fixture
def publish(bundles: MemoryBundles, guest_wat: Callable[..., str]) -> Publish:
    """Make a guest (the handler's WAT, as ``guest_wat`` takes it) known; its content hash."""

    def carry_out(handler: str | None = None, *, wasm: bytes | None = None, **guest: Any) -> str:
        if handler is not None:
            guest["handler"] = handler
        return bundles.add(make_bundle(guest_wat(**guest) if wasm is None else wasm))

    return carry_out


@pytest.fixture
def request_for() -> Callable[..., dict[str, Any]]:
    return execute_document


@pytest.fixture
def execute(client: httpx.AsyncClient, publish: Publish) -> Execute:
    """``POST /v1/execute`` for a guest that answers 200, or for ``content_hash``; ``headers`` are added."""

    async def carry_out(
        content_hash: str | None = None, *, headers: dict[str, str] | None = None, **members: Any
    ) -> httpx.Response:
        body = execute_document(content_hash or publish(), **members)
        return await client.post("/v1/execute", json=body, headers=HEADERS | (headers or {}))

    return carry_out


@pytest.fixture
def headers() -> dict[str, str]:
    return dict(HEADERS)
