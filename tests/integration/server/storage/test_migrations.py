"""Migrations: a database that an older server left gets today's tables, and keeps its rows."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from threading import Barrier, Thread

import anyio
import pytest
from alembic.autogenerate import compare_metadata
from alembic.migration import MigrationContext
from sqlalchemy import Connection, Engine, create_engine, insert, inspect, make_url, select, text

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
        assert migrations.revision_of(connection) == migrations.head() == "0002"
        assert connection.execute(select(tables.bundle.c.archive)).scalar_one() == b"kept"
        assert "note" in inspect(connection).get_table_names()


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
        assert migrations.revision_of(connection) == "0002"


def test_a_step_that_fails_changes_nothing(url: str, engine: Engine, add_step: AddStep):
    add_step('raise RuntimeError("the disk is full")')

    with pytest.raises(RuntimeError, match="disk"):
        start(url)

    with engine.connect() as connection:
        assert inspect(connection).get_table_names() == []


def test_every_step_follows_one_other():
    steps = list(migrations._script().walk_revisions())

    assert len({step.down_revision for step in steps}) == len(steps)
