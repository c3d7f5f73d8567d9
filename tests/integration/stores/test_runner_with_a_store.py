"""A runner whose bundles are in a store over HTTP: it starts, executes and answers probes while that is down."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from alga_runner import Runner, Settings
from alga_runner.bundles import FolderBundles
from alga_runner.bundles.stores import http_store
from alga_runner.errors import BundleDownloadFailed, BundleNotFound
from alga_runner.models import ExecuteRequest, content_hash
from alga_runner.service.server import require_store
from tests.support.bundles import make_archive
from tests.support.object_store import ObjectStore
from tests.support.requests import execute_request

pytestmark = pytest.mark.anyio


@pytest.fixture
def archive(guest_wat) -> bytes:
    return make_archive(guest_wat())


@pytest.fixture
def request_of(archive: bytes):
    def of(tenant: str) -> ExecuteRequest:
        return execute_request(content_hash(archive), tenant=tenant)

    return of


@pytest.fixture
async def url(archive: bytes) -> AsyncIterator[str]:
    """A store with the bundle of tenant acme."""
    key = FolderBundles.key("acme", "ext", content_hash(archive))
    async with ObjectStore({f"/{key}": archive}).serving() as url:
        yield url


def using(store: str, settings: Settings, tmp_path: Path) -> Settings:
    return settings.model_copy(update={"bundle_store": store, "bundle_cache": str(tmp_path / "cache")})


async def test_an_extension_runs_from_the_store_and_then_without_it(
    url: str, settings: Settings, tmp_path: Path, request_of, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(http_store, "PAUSES_S", (0.0,))
    async with Runner(using(url, settings, tmp_path)) as runner:
        assert (await runner.execute(request_of("acme"))).status == 200
        with pytest.raises(BundleNotFound):
            await runner.execute(request_of("globex"))

    down = using("http://127.0.0.1:1", settings, tmp_path)
    async with Runner(down) as runner:
        await require_store(runner, down)
        assert not await runner.bundle_store_reachable()
        assert await runner.bundle_cache_writable()
        assert (await runner.execute(request_of("acme"))).status == 200
        with pytest.raises(BundleDownloadFailed):
            await runner.execute(request_of("globex"))
