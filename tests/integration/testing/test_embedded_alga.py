"""The embedded Alga: installs, calls and errors, as an async caller has them."""

from __future__ import annotations

from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from alga_runner.bundles import read_bundle
from alga_runner.engine import Component, Module, ModuleLoader
from alga_runner.errors import AdminRefused, BundleNotFound, DeadlineExceeded, ExtensionNotAvailable
from alga_runner.models import ExecuteRequest, pack
from alga_runner.settings import Settings
from alga_runner.testing import EmbeddedAlga, Installed
from alga_runner.testing.runner import SharedRunner
from alga_server import ManualClock

pytestmark = pytest.mark.anyio

DEMO = Path(__file__).parents[3] / "sample-extensions" / "scheduler-demo"
SCHEDULER = "cap:scheduler.manage"


def files_in(folder: Path) -> list[Path]:
    return list(folder.iterdir())


def direct_request(install: Installed) -> ExecuteRequest:
    """A call that passes the server by."""
    context = {
        "tenant_id": install.tenant_id,
        "extension_id": install.extension_id,
        "install_id": install.install_id,
        "content_hash": install.content_hash,
        "request_id": "direct",
    }
    document = {
        "context": context,
        "http": {"method": "GET", "path": "/schedules"},
        "providers": [SCHEDULER],
    }
    return ExecuteRequest.model_validate(document)


@pytest.fixture
async def alga() -> AsyncIterator[EmbeddedAlga]:
    async with EmbeddedAlga() as embedded:
        yield embedded


async def test_an_installed_extension_is_called(alga: EmbeddedAlga) -> None:
    demo = await alga.install(DEMO, grants=[SCHEDULER])

    seen = await demo.call("POST", "/setup")

    assert seen.response is not None
    assert seen.response.status == 200
    assert [schedule["name"] for schedule in await demo.schedules()] == ["Hourly sync", "Nightly full sync"]


async def test_a_bundle_and_an_archive_are_the_folder_they_came_from(
    alga: EmbeddedAlga, tmp_path: Path
) -> None:
    bundle = read_bundle(DEMO)
    archive = tmp_path / "demo.tar.zst"
    archive.write_bytes(pack(bundle.files))

    installed = [
        await alga.install(source, tenant_id=f"tenant-{number}")
        for number, source in enumerate([DEMO, str(DEMO), bundle, archive])
    ]

    assert {install.content_hash for install in installed} == {bundle.content_hash}
    assert len({install.version_id for install in installed}) == 1


async def test_a_tenant_has_an_extension_once(alga: EmbeddedAlga) -> None:
    await alga.install(DEMO)

    with pytest.raises(AdminRefused, match="is installed for this tenant already") as refused:
        await alga.install(DEMO)
    assert (refused.value.server_code, refused.value.http_status) == ("already_installed", 409)


async def test_a_refused_grant_names_the_field(alga: EmbeddedAlga) -> None:
    with pytest.raises(AdminRefused) as refused:
        await alga.install(DEMO, grants=["cap:storage.kv"])

    assert refused.value.field_errors.keys() == {"grants"}


async def test_a_tenant_that_cannot_be_is_refused(alga: EmbeddedAlga) -> None:
    with pytest.raises(AdminRefused, match="refused to install"):
        await alga.install(DEMO, tenant_id="not a tenant")


async def test_a_bundle_that_is_not_there_is_not_found(alga: EmbeddedAlga) -> None:
    with pytest.raises(BundleNotFound, match="neither a folder nor a file"):
        await alga.install(DEMO / "nowhere")


async def test_the_request_has_the_install_of_the_moment(alga: EmbeddedAlga) -> None:
    demo = await alga.install(DEMO, grants=[SCHEDULER])
    await demo.revoke(SCHEDULER)
    denied = await demo.call("GET", "/schedules")
    await demo.grant(SCHEDULER)
    granted = await demo.call("GET", "/schedules")

    assert [call.status for call in denied.host_calls] == ["denied"]
    assert [call.status for call in granted.host_calls] == ["ok"]


async def test_a_disabled_install_is_called_again_once_enabled(alga: EmbeddedAlga) -> None:
    demo = await alga.install(DEMO)
    await demo.disable()
    with pytest.raises(ExtensionNotAvailable):
        await demo.call("POST", "/sync")
    await demo.enable()

    assert (await demo.call("POST", "/sync")).error is None


async def test_an_error_leaves_the_context_as_it_was_raised() -> None:
    async def use() -> None:
        async with EmbeddedAlga():
            raise LookupError("the caller's own")

    with pytest.raises(LookupError, match="the caller's own"):
        await use()


async def test_two_embedded_servers_share_nothing(alga: EmbeddedAlga) -> None:
    async with EmbeddedAlga() as other:
        ours = await alga.install(DEMO, grants=[SCHEDULER])
        theirs = await other.install(DEMO, grants=[SCHEDULER])
        await ours.call("POST", "/setup")

        assert ours.extension_id != theirs.extension_id
        assert await theirs.schedules() == []


async def test_the_environment_does_not_lend_its_database_or_tokens(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    database = tmp_path / "real.db"
    monkeypatch.setenv("ALGA_SERVER_DATABASE_URL", f"sqlite:///{database}")
    monkeypatch.setenv("ALGA_SERVER_RUNNER_TOKEN", "theirs")
    monkeypatch.setenv("STORAGE_API_BASE_URL", "http://alga.invalid")

    async with EmbeddedAlga() as alga:
        seen = await (await alga.install(DEMO, grants=[SCHEDULER])).call("POST", "/setup")

    assert seen.error is None
    assert not database.exists()


async def test_the_server_reads_the_clock_it_was_given() -> None:
    clock = ManualClock(datetime(2026, 3, 1, 12, 34, tzinfo=UTC))
    async with EmbeddedAlga(clock=clock) as alga:
        demo = await alga.install(DEMO, grants=[SCHEDULER])
        await demo.call("POST", "/setup")
        first = (await demo.schedules())[0]["nextRunAt"]
        await demo.call("POST", "/cleanup")
        clock.advance(timedelta(hours=1))
        await demo.call("POST", "/setup")
        second = (await demo.schedules())[0]["nextRunAt"]

    assert (first, second) == ("2026-03-01T13:00:00.000Z", "2026-03-01T14:00:00.000Z")


async def test_a_shared_runner_loads_a_module_once(monkeypatch: pytest.MonkeyPatch) -> None:
    loaded: list[bytes] = []
    load = ModuleLoader.load

    async def counted(loader: ModuleLoader, wasm: bytes, owner: str, digest: str) -> Module | Component:
        loaded.append(wasm)
        return await load(loader, wasm, owner, digest)

    monkeypatch.setattr(ModuleLoader, "load", counted)
    async with SharedRunner() as shared:
        for _ in range(3):
            async with EmbeddedAlga(shared=shared) as alga:
                demo = await alga.install(DEMO, grants=[SCHEDULER])
                assert (await demo.call("POST", "/setup")).error is None

    assert loaded == [read_bundle(DEMO).wasm]


async def test_a_shared_runner_has_one_borrower_at_a_time() -> None:
    async with SharedRunner() as shared, EmbeddedAlga(shared=shared):
        with pytest.raises(RuntimeError, match="lent already"):
            async with EmbeddedAlga(shared=shared):
                pass


async def test_a_shared_runner_forgets_its_borrowers_bundles() -> None:
    async with SharedRunner() as shared:
        async with EmbeddedAlga(shared=shared) as alga:
            demo = await alga.install(DEMO)
            runner = alga.runner
            request = direct_request(demo)
        seen = await runner.observe(request)

    assert isinstance(seen.error, BundleNotFound)


async def test_the_clock_of_guests_is_the_servers() -> None:
    clock = ManualClock(datetime(2026, 3, 1, microsecond=5, tzinfo=UTC))
    async with EmbeddedAlga(clock=clock) as alga:
        assert alga.runner._clock_ns() == 1_772_323_200_000_005_000


async def test_a_host_call_without_the_token_of_an_execution_is_refused(alga: EmbeddedAlga) -> None:
    demo = await alga.install(DEMO, grants=[SCHEDULER])

    seen = await alga.runner.observe(direct_request(demo))

    assert [call.status for call in seen.host_calls] == ["denied"]
    assert 'status="execution_token_invalid"} 1.0' in await alga.server_metrics()


async def test_the_servers_bundles_stay_in_memory(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("ALGA_SERVER_BUNDLE_STORE", str(tmp_path))

    async with EmbeddedAlga() as alga:
        await alga.install(DEMO)

    assert files_in(tmp_path) == []


async def test_the_runners_settings_say_how_long_an_execution_may_take(extension: Any) -> None:
    async with EmbeddedAlga(settings=Settings(default_timeout_ms=20)) as alga:
        seen = await (await alga.install(extension("(loop (br 0))"))).call("POST", "/run")

    assert isinstance(seen.error, DeadlineExceeded)


async def test_the_clock_of_the_machine_is_put_forward(alga: EmbeddedAlga) -> None:
    demo = await alga.install(DEMO, grants=[SCHEDULER])
    await demo.call("POST", "/setup")
    before = alga.clock.now()

    runs = await alga.clock.advance(hours=3)

    assert alga.clock.now() - before >= timedelta(hours=3)
    assert "Hourly sync" in {run.name for run in runs}
    assert alga.runs() == runs


async def test_a_clock_that_was_not_put_forward_fires_what_is_due_now(alga: EmbeddedAlga) -> None:
    assert await alga.clock.advance() == []
