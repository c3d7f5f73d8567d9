"""Migrations: a database that an older server left gets today's tables, and keeps its rows."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from pathlib import Path
from threading import Barrier, Thread

import anyio
import pytest
from alembic.autogenerate import compare_metadata
from alembic.migration import MigrationContext
from sqlalchemy import (
    Connection,
    Engine,
    Table,
    create_engine,
    insert,
    inspect,
    make_url,
    select,
    text,
    update,
)

from alga_runner.errors import SettingsError
from alga_server.storage import migrations, tables
from alga_server.storage.database import Database

pytestmark = pytest.mark.postgres

AddStep = Callable[..., None]
DRIVERS = {"sqlite": "sqlite", "postgresql": "postgresql+psycopg"}


@pytest.fixture
def url(empty_database_url: str) -> str:
    return empty_database_url


@pytest.fixture
def engine(url: str) -> Iterator[Engine]:
    engine = create_engine(make_url(url).set(drivername=DRIVERS[make_url(url).get_backend_name()]))
    yield engine
    engine.dispose()


def _is_ours(name: str | None, kind: str, _parents: object) -> bool:
    return kind != "table" or not str(name).startswith("procrastinate_")


def differences(connection: Connection) -> list[object]:
    context = MigrationContext.configure(connection, opts={"compare_type": True, "include_name": _is_ours})
    return list(compare_metadata(context, tables.metadata))


def start(url: str) -> None:
    async def once() -> None:
        database = Database(url)
        try:
            await database.start()
        finally:
            await database.aclose()

    anyio.run(once)


def test_an_empty_database_gets_the_tables_that_the_code_has(url: str, engine: Engine):
    start(url)

    with engine.connect() as connection:
        assert differences(connection) == []
        assert migrations.revision_of(connection) == migrations.head()


def test_a_database_of_an_older_server_is_migrated_and_keeps_its_rows(
    url: str, engine: Engine, add_step: AddStep
):
    start(url)
    with engine.begin() as connection:
        row = {"content_hash": "sha256:1", "archive": b"kept", "created_at": datetime.now(UTC)}
        connection.execute(insert(tables.bundle).values(row))
    add_step()

    start(url)

    with engine.connect() as connection:
        assert migrations.revision_of(connection) == migrations.head()
        assert connection.execute(select(tables.bundle.c.archive)).scalar_one() == b"kept"
        assert "note" in inspect(connection).get_table_names()


def first_rows(connection: Connection) -> None:
    """An install with a schedule and a failed run, as the first schema holds them."""
    now, endpoint = datetime(2026, 1, 1, tzinfo=UTC), {"method": "POST", "path": "/sync", "handler": "sync"}
    owner = {"tenant_id": "acme", "install_id": "install"}
    rows: list[tuple[Table, dict[str, object]]] = [
        (tables.bundle, {"content_hash": "sha256:1", "archive": b"kept"}),
        (tables.extension, {"id": "extension", "publisher": "p", "name": "n"}),
        (tables.version, {"id": "version", "extension_id": "extension", "version": "1.0.0", "ordinal": 1}),
        (tables.endpoint, {"id": "endpoint", "version_id": "version", **endpoint}),
        (
            tables.install,
            {"id": "install", "tenant_id": "acme", "extension_id": "extension", "enabled": True},
        ),
        (
            tables.schedule,
            {"id": "schedule", **owner, "endpoint_id": "endpoint", "ordinal": 1, "enabled": True},
        ),
        (tables.schedule_run, {"id": "run", **owner, "schedule_id": "schedule", "status": "error"}),
    ]
    common = {
        "content_hash": "sha256:1",
        "version_id": "version",
        "capabilities": [],
        "config": {},
        "created_at": now,
        "updated_at": now,
        "due_at": now,
        "started_at": now,
        "cron": "0 * * * *",
        "timezone": "UTC",
        "trigger": "schedule",
        "nominal_time": "t",
        "attempt": 1,
        "missed": 0,
        "request_id": "r",
        "worker_id": "w",
        "error_message": "as it was",
    }
    for table, row in rows:
        values = {name: value for name, value in common.items() if name in table.c} | row
        connection.execute(insert(table).values(values))


def test_a_database_of_the_first_schema_gets_the_output_of_runs_and_keeps_its_rows(
    url: str, engine: Engine, steps: Callable[..., Path], monkeypatch: pytest.MonkeyPatch
):
    newest = migrations.SCRIPTS
    steps(after="0001")
    start(url)
    with engine.begin() as connection:
        first_rows(connection)
        assert migrations.revision_of(connection) == "0001"
    monkeypatch.setattr(migrations, "SCRIPTS", newest)
    migrations._script.cache_clear()

    start(url)

    with engine.begin() as connection:
        assert differences(connection) == []
        [run] = connection.execute(select(tables.schedule_run)).all()
        assert (run.id, run.status, run.error_message) == ("run", "error", "as it was")
        assert (run.guest_log, run.response_body) == (None, None)
        changed = update(tables.schedule_run).values(guest_log="said", response_body="answered")
        assert connection.execute(changed).rowcount == 1
        assert connection.execute(select(tables.schedule.c.id)).scalar_one() == "schedule"


def test_an_install_keeps_the_state_of_its_rate(
    url: str, engine: Engine, steps: Callable[..., Path], monkeypatch: pytest.MonkeyPatch
):
    newest, arrival = migrations.SCRIPTS, datetime(2026, 1, 1, 0, 5, tzinfo=UTC)
    steps(after="0007")
    start(url)
    with engine.begin() as connection:
        first_rows(connection)
        other = {"id": "other", "tenant_id": "other", "extension_id": "extension", "version_id": "version"}
        times = {"created_at": arrival, "updated_at": arrival}
        connection.execute(insert(tables.install).values({**other, **times, "enabled": True, "config": {}}))
        connection.execute(
            text("INSERT INTO tenant_extension_schedule_rate VALUES ('acme', 'install', :arrival)"),
            {"arrival": f"{arrival:%Y-%m-%d %H:%M:%S.%f}"},
        )
    monkeypatch.setattr(migrations, "SCRIPTS", newest)
    migrations._script.cache_clear()

    start(url)

    with engine.connect() as connection:
        assert differences(connection) == []
        rows = connection.execute(select(tables.install.c.id, tables.install.c.rate_arrival_at)).all()
    assert {row.id: row.rate_arrival_at for row in rows} == {"install": arrival, "other": None}


def test_a_database_of_another_program_is_left_alone(url: str, engine: Engine):
    with engine.begin() as connection:
        connection.execute(text("CREATE TABLE extension_registry (id INTEGER)"))

    with pytest.raises(SettingsError, match="has a table extension_registry") as refused:
        start(url)

    assert refused.value.hint is not None
    with engine.connect() as connection:
        assert inspect(connection).get_table_names() == ["extension_registry"]


def test_a_database_of_a_newer_server_is_left_alone(url: str, engine: Engine):
    start(url)
    with engine.begin() as connection:
        connection.execute(text("UPDATE alembic_version SET version_num = '9999'"))

    with pytest.raises(SettingsError, match="newer server, to revision 9999") as refused:
        start(url)

    assert refused.value.hint is not None


def test_servers_that_start_concurrently_migrate_once(url: str, engine: Engine, add_step: AddStep):
    start(url)
    add_step()
    together, failures = Barrier(4), []

    def begin() -> None:
        together.wait()
        try:
            start(url)
        except Exception as error:  # noqa: BLE001 - the test shows it
            failures.append(error)

    threads = [Thread(target=begin) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    assert failures == []
    with engine.connect() as connection:
        assert migrations.revision_of(connection) == migrations.head()


def test_a_step_that_fails_changes_nothing(url: str, engine: Engine, add_step: AddStep):
    add_step('raise RuntimeError("the disk is full")')

    with pytest.raises(RuntimeError, match="disk"):
        start(url)

    with engine.connect() as connection:
        assert inspect(connection).get_table_names() == []


def test_every_step_follows_one_other():
    steps = list(migrations._script().walk_revisions())

    assert len({step.down_revision for step in steps}) == len(steps)
