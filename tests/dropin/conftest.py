"""The service as Alga's callers meet it: open to callers without a token, on a socket or without one.

The tests follow docs/alga-contract.md, a module a section; ``test_section_7_faults`` has the list of proven faults.
"""

from __future__ import annotations

import json
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from pathlib import Path
from typing import Any

import httpx
import pytest
from pydantic import SecretStr

from alga_runner import Runner, Settings
from alga_runner.bundles import Bundle, MemoryBundles
from alga_runner.service import Service, create_service
from tests.support.bundles import bundle_files, make_bundle
from tests.support.clock import FakeMonotonic
from tests.support.echo import echo_guest
from tests.support.pages import FILES, FakeRegistry
from tests.support.requests import execute_document

RECORDED = Path(__file__).parent / "recorded"
TOKEN = "service-token-of-the-recording"
ROUTING = {"x-alga-tenant": "acme", "x-alga-extension": "ext"}

Ask = Callable[..., Awaitable[httpx.Response]]
Publish = Callable[..., str]
Pages = Callable[..., AbstractAsyncContextManager[httpx.AsyncClient]]
Recorded = Callable[[str, str], tuple[dict[str, str], dict[str, Any]]]


@pytest.fixture(scope="module")
def settings() -> Settings:
    """As ``doctor --alga`` would have them, with few slots."""
    return Settings(
        max_guests=4,
        max_guests_per_tenant=4,
        max_memory_mb=32,
        service_token=SecretStr(TOKEN),
        allow_unauthenticated_execute=True,
        default_timeout_ms=300_000,
        queue_timeout_ms=300_000,
    )


@pytest.fixture(scope="module")
def bundles() -> MemoryBundles:
    return MemoryBundles()


@pytest.fixture(scope="module")
async def runner(settings: Settings, bundles: MemoryBundles) -> AsyncIterator[Runner]:
    """One for all tests of a module, so that a guest is compiled once."""
    async with Runner(settings, bundles=bundles) as running:
        yield running


@pytest.fixture
def service(runner: Runner, settings: Settings) -> Service:
    return create_service(runner, settings)


@pytest.fixture
async def client(service: Service) -> AsyncIterator[httpx.AsyncClient]:
    transport = httpx.ASGITransport(service)
    async with httpx.AsyncClient(transport=transport, base_url="http://runner") as client:
        yield client


@pytest.fixture
async def closed(runner: Runner, settings: Settings) -> AsyncIterator[httpx.AsyncClient]:
    """A client of a service that asks every caller for the token, which is the default."""
    service = create_service(runner, settings.model_copy(update={"allow_unauthenticated_execute": False}))
    async with httpx.AsyncClient(transport=httpx.ASGITransport(service), base_url="http://runner") as client:
        yield client


@pytest.fixture
def publish(bundles: MemoryBundles) -> Publish:
    """Make a guest known, one that echoes unless another is given; its content hash."""
    return lambda guest=None: bundles.add(make_bundle(guest or echo_guest()))


@pytest.fixture
def execute(client: httpx.AsyncClient, publish: Publish) -> Ask:
    """``POST /v1/execute`` for an echo, or for ``content_hash``; members are merged into a short request."""

    async def ask(
        content_hash: str | None = None, *, headers: dict[str, str] | None = None, **members: Any
    ) -> httpx.Response:
        document = execute_document(content_hash or publish(), **members)
        return await client.post("/v1/execute", json=document, headers=ROUTING | (headers or {}))

    return ask


@pytest.fixture
def recorded() -> Recorded:
    """Headers and body of a recorded call, for the bundle of that hash."""

    def read(name: str, content_hash: str) -> tuple[dict[str, str], dict[str, Any]]:
        text = (RECORDED / f"{name}.json").read_text().replace("${content_hash}", content_hash)
        document = json.loads(text)
        return document["headers"], document["body"]

    return read


@pytest.fixture
def alga() -> FakeRegistry:
    return FakeRegistry()


@pytest.fixture
def clock() -> FakeMonotonic:
    return FakeMonotonic()


@pytest.fixture
def content_hash(bundles: MemoryBundles) -> str:
    """An extension of pages, published for one tenant."""
    return bundles.add(Bundle.from_files(bundle_files() | FILES), tenant_id="acme")


@pytest.fixture
def pages(runner: Runner, settings: Settings, alga: FakeRegistry, clock: FakeMonotonic) -> Pages:
    """A visitor of the service with these settings."""

    @asynccontextmanager
    async def visit(of: Runner = runner, **changes: Any) -> AsyncIterator[httpx.AsyncClient]:
        changed = settings.model_copy(
            update={
                "registry_url": "https://alga.example/ignored",
                "registry_key": SecretStr("key"),
                **changes,
            }
        )
        transport = httpx.ASGITransport(create_service(of, changed, clock=clock, registry=alga))
        async with httpx.AsyncClient(transport=transport, base_url="http://runner") as client:
            yield client

    return visit


@pytest.fixture
async def visitor(pages: Pages) -> AsyncIterator[httpx.AsyncClient]:
    async with pages() as client:
        yield client


@pytest.fixture
def get(visitor: httpx.AsyncClient, content_hash: str) -> Callable[..., Awaitable[httpx.Response]]:
    """A file of the pages, as the tenant's browser asks for it."""

    async def ask(path: str, tenant: str | None = "acme", **headers: str) -> httpx.Response:
        query = "" if tenant is None else f"?tenant={tenant}"
        named = {name.replace("_", "-"): value for name, value in headers.items()}
        return await visitor.get(f"/ext-ui/ext/{content_hash}/{path}{query}", headers=named)

    return ask
