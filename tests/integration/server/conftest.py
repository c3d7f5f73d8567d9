"""A server in memory that tests call over HTTP, with a runner that they control."""

from __future__ import annotations

import os
import shutil
from collections.abc import AsyncIterator, Callable, Iterator
from pathlib import Path

import httpx
import pytest

from alga_server import ManualClock, Server, ServerSettings
from alga_server.storage import migrations
from tests.support.server import ADMIN_TOKEN, GATEWAY_TOKEN, RUNNER_TOKEN, Alga, FakeRunner, Install

collect_ignore_glob = [] if os.environ.get("ALGA_TEST_POSTGRES") else ["postgres/*"]


@pytest.fixture(params=["postgres"] if os.environ.get("ALGA_TEST_POSTGRES") else ["memory", "file"])
def each_database_url(request: pytest.FixtureRequest, database_url: str) -> str:
    """Each kind of database in turn."""
    return "sqlite://" if request.param == "memory" else database_url


@pytest.fixture
def settings(quick_database_url: str) -> ServerSettings:
    """Host calls come from the tests themselves here, not from executions: they carry no execution's token."""
    return ServerSettings(
        database_url=quick_database_url,
        runner_token=RUNNER_TOKEN,
        admin_token=ADMIN_TOKEN,
        gateway_token=GATEWAY_TOKEN,
        require_execution_token=False,
        dispatch_schedules=False,  # tests that want schedules to fire say so
    )


@pytest.fixture
def runner_transport() -> httpx.AsyncBaseTransport | None:
    """The way to a runner; a file whose tests have one overrides it."""
    return None


@pytest.fixture
def fake_runner() -> FakeRunner:
    """A runner for ``runner_transport``."""
    return FakeRunner()


@pytest.fixture
async def alga(
    settings: ServerSettings, runner_transport: httpx.AsyncBaseTransport | None
) -> AsyncIterator[Alga]:
    clock = ManualClock()
    async with Server(settings, clock=clock, runner_transport=runner_transport) as server:
        transport = httpx.ASGITransport(server.app)
        async with httpx.AsyncClient(transport=transport, base_url="http://server") as client:
            yield Alga(server, client, clock)


@pytest.fixture
async def install(alga: Alga) -> Install:
    return await alga.install("tenant-a")


@pytest.fixture
def steps(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Callable[..., Path]]:
    """Lets the server have a copy of its migrations, without those ``after`` a revision; returns the copy's folder."""

    def replaced(*, after: str = "9999") -> Path:
        folder = tmp_path / f"migrations-{after}"
        shutil.copytree(migrations.SCRIPTS, folder, ignore=shutil.ignore_patterns("__pycache__"))
        for script in folder.glob("versions/v0*.py"):
            if script.name[1:5] > after:
                script.unlink()
        monkeypatch.setattr(migrations, "SCRIPTS", folder)
        migrations._script.cache_clear()
        return folder / "versions"

    yield replaced
    migrations._script.cache_clear()


@pytest.fixture
def add_step(steps: Callable[..., Path]) -> Callable[..., None]:
    """Adds a migration, as a later release may bring one: it makes the table ``note``, then runs ``statement``."""

    def add(statement: str = "pass") -> None:
        before = migrations.head()
        revision = f"{int(before) + 1:04}"
        (steps() / f"v{revision}_note.py").write_text(
            "import sqlalchemy as sa\nfrom alembic import op\n"
            f'revision, down_revision = "{revision}", "{before}"\n'
            f'def upgrade():\n    op.create_table("note", sa.Column("id", sa.Integer()))\n    {statement}\n'
        )

    return add
