"""A real runner compiles published versions, from the store that it shares with the server."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable
from pathlib import Path

import httpx
import pytest

from alga_runner import Runner, Settings
from alga_runner.bundles import FolderBundles
from alga_runner.service import create_service
from alga_server import ServerSettings
from tests.support.bundles import make_archive
from tests.support.server import Alga

pytestmark = pytest.mark.anyio


@pytest.fixture
def root(tmp_path: Path) -> Path:
    return tmp_path / "bundles"


@pytest.fixture
def settings(settings: ServerSettings, root: Path) -> ServerSettings:
    return settings.model_copy(update={"bundle_store": root})


@pytest.fixture
async def runner(root: Path, tmp_path: Path) -> AsyncIterator[Runner]:
    cache = str(tmp_path / "code")
    settings = Settings(max_guests=2, max_memory_mb=4, code_cache=cache, default_timeout_ms=300_000)
    async with Runner(settings, bundles=FolderBundles(root)) as running:
        yield running


@pytest.fixture
def runner_transport(runner: Runner) -> httpx.AsyncBaseTransport:
    return httpx.ASGITransport(create_service(runner, require_token=False))


async def test_publishing_compiles_so_that_an_install_and_its_executions_need_not(
    alga: Alga, runner: Runner, guest_wat: Callable[..., str]
) -> None:
    archive = make_archive(guest_wat(), name="com.example.real")
    published = (await alga.admin("POST", "/api/admin/extensions", content=archive)).json()
    body = {"extensionId": published["extensionId"]}
    made = await alga.admin("POST", "/api/admin/tenants/acme/installs", json=body)

    assert published["warmup"]["status"] == "ready"
    assert made.json()["warmup"]["status"] == "ready"
    shown = runner.telemetry.render().decode()
    assert 'alga_runner_compile_seconds_count{status="success"} 1.0' in shown


async def test_publishing_a_module_that_cannot_run_shows_the_runner_s_code_and_hint(alga: Alga) -> None:
    archive = make_archive(b"\0asm\1\0\0\0", name="com.example.real")

    published = (await alga.admin("POST", "/api/admin/extensions", content=archive)).json()

    assert published["warmup"]["code"] == "abi_marker_missing"
    assert published["warmup"]["hint"]
