"""Fixtures of every test: the async backend, a runner, guests, databases."""

from __future__ import annotations

import base64
import os
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from pathlib import Path

import anyio
import hypothesis
import pytest

from alga_runner import Observation, Runner, Settings
from alga_runner.alga import AlgaServer
from alga_runner.bundles import MemoryBundles
from tests.support import guests
from tests.support.bundles import make_bundle
from tests.support.databases import POSTGRES, create_tables, postgres_database
from tests.support.patience import PATIENT
from tests.support.requests import execute_request

Observe = Callable[..., Awaitable[Observation]]


@pytest.fixture(scope="session")
def anyio_backend() -> tuple[str, dict[str, bool]]:
    """asyncio, on the loop that ``ALGA_TEST_LOOP`` names: ``uvloop``, or asyncio's own."""
    return "asyncio", {"use_uvloop": os.environ.get("ALGA_TEST_LOOP") == "uvloop"}


@pytest.fixture
def empty_database_url(tmp_path: Path) -> Iterator[str]:
    """A database without tables."""
    if POSTGRES is None:
        yield f"sqlite:///{tmp_path / 'empty.db'}"
    else:
        with postgres_database(POSTGRES) as url:
            yield url


@pytest.fixture(scope="session")
def postgres_template() -> Iterator[str | None]:
    """The name of a database with today's tables: to copy one takes a tenth of the time of making them."""
    if POSTGRES is None:
        yield None
        return
    with postgres_database(POSTGRES) as url:
        anyio.run(create_tables, url)
        yield url.partition("?")[0].rpartition("/")[2]


@pytest.fixture
def database_url(tmp_path: Path, postgres_template: str | None) -> Iterator[str]:
    """A database that several servers can share."""
    if POSTGRES is None:
        yield f"sqlite:///{tmp_path / 'alga.db'}"
    else:
        with postgres_database(POSTGRES, template=postgres_template) as url:
            yield url


@pytest.fixture
def quick_database_url(request: pytest.FixtureRequest) -> str:
    """A database for one server: in memory, where that can be."""
    return "sqlite://" if POSTGRES is None else str(request.getfixturevalue("database_url"))


@pytest.fixture(scope="module")
def lasting_database_url(postgres_template: str | None) -> Iterator[str]:
    """A database for one server that all tests of a file use: in memory, where that can be."""
    if POSTGRES is None:
        yield "sqlite://"
    else:
        with postgres_database(POSTGRES, template=postgres_template) as url:
            yield url


hypothesis.settings.register_profile(
    "steady", deadline=None, suppress_health_check=[hypothesis.HealthCheck.too_slow]
)
hypothesis.settings.load_profile("steady")
"""An example may take as long as a busy machine needs."""


@pytest.fixture
def settings() -> Settings:
    """Few slots and little memory, so that limits are met quickly; and all the time that a busy machine may take."""
    return Settings(
        max_guests=8,
        max_guests_per_tenant=8,
        max_memory_mb=4,
        **PATIENT,
    )


@pytest.fixture
def bundles() -> MemoryBundles:
    return MemoryBundles()


@pytest.fixture
def alga_server() -> AlgaServer | None:
    """Answers the runner's host calls; ``None``: the server that the settings name."""
    return None


@pytest.fixture
async def runner(
    settings: Settings, bundles: MemoryBundles, alga_server: AlgaServer | None
) -> AsyncIterator[Runner]:
    async with Runner(settings, bundles=bundles, alga=alga_server) as running:
        yield running


@pytest.fixture
def observe(runner: Runner, bundles: MemoryBundles) -> Observe:
    """Execute a guest given as WAT (or wasm bytes) and return how it went."""

    async def run(
        guest: str | bytes, *, body: bytes | None = None, providers: tuple[str, ...] = (), **limits: int
    ) -> Observation:
        content_hash = bundles.add(make_bundle(guest), tenant_id="acme")
        context = {"extension_id": "com.example.test", "version_id": "v1", "request_id": "request-1"}
        http = {"path": "/test"}
        if body is not None:
            http["body_b64"] = base64.b64encode(body).decode()
        return await runner.observe(
            execute_request(
                content_hash, context=context, http=http, providers=list(providers), limits=limits
            )
        )

    return run


@pytest.fixture(scope="session")
def guest_wat() -> Callable[..., str]:
    return guests.guest_wat


@pytest.fixture(scope="session")
def slow_module() -> Callable[[int], bytes]:
    return guests.slow_module


@pytest.fixture(scope="session")
def greedy_module() -> bytes:
    return guests.greedy_module()


@pytest.fixture(scope="session")
def as_text() -> Callable[[str], bytes]:
    return guests.assemblyscript_string
