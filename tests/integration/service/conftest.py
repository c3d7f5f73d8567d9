"""The service over ASGI, without a socket, and guests written where they are tested."""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable
from typing import Any

import httpx
import pytest
from pydantic import SecretStr
from wasmtime import wat2wasm

from alga_runner import Runner, Settings
from alga_runner.bundles import Bundle, MemoryBundles
from alga_runner.service import Service, create_service

TOKEN = "the-service-token"
HEADERS = {"x-runner-service-token": TOKEN, "x-alga-tenant": "acme", "x-alga-extension": "ext"}
MANIFEST = b'{"name": "com.example.test", "version": "1.0.0", "runtime": "wasm-wat@1"}'

Execute = Callable[..., Awaitable[httpx.Response]]
Publish = Callable[..., str]


class Clock:
    """Seconds that pass when a test says so."""

    def __init__(self) -> None:
        self.now = 0.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def settings() -> Settings:
    return Settings(
        max_guests=4,
        max_guests_per_tenant=4,
        max_memory_mb=4,
        service_token=SecretStr(TOKEN),
        max_http_body_bytes=4096,
        http_body_timeout_ms=5_000,
        idempotency_ttl_ms=60_000,
    )


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def service(runner: Runner, settings: Settings, clock: Clock) -> Service:
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
        if wasm is None:
            text = guest_wat(**guest) if handler is None else guest_wat(handler, **guest)
            wasm = bytes(wat2wasm(text))
        return bundles.add(Bundle.from_files({"manifest.json": MANIFEST, "dist/main.wasm": wasm}))

    return carry_out


def document(content_hash: str, *, tenant: str = "acme", install: str | None = "install-1", **members: Any):
    """The JSON of an execute request; ``http`` members and others are merged in."""
    http = {"method": "POST", "path": "/go", **members.pop("http", {})}
    context = {
        "tenant_id": tenant,
        "extension_id": "ext",
        "install_id": install,
        "content_hash": content_hash,
        **members.pop("context", {}),
    }
    return {"context": context, "http": http, **members}


@pytest.fixture
def request_for() -> Callable[..., dict[str, Any]]:
    return document


@pytest.fixture
def execute(client: httpx.AsyncClient, publish: Publish) -> Execute:
    """``POST /v1/execute`` for a guest that answers 200, or for ``content_hash``; ``headers`` are added."""

    async def carry_out(
        content_hash: str | None = None, *, headers: dict[str, str] | None = None, **members: Any
    ) -> httpx.Response:
        body = document(content_hash or publish(), **members)
        return await client.post("/v1/execute", json=body, headers=HEADERS | (headers or {}))

    return carry_out


@pytest.fixture
def headers() -> dict[str, str]:
    return dict(HEADERS)
