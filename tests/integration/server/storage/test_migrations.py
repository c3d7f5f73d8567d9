"""Migrations: every database that an older server left behind ends with today's tables, and with its rows."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from threading import Barrier, Thread

import anyio
import pytest
from alembic import command
from alembic.autogenerate import compare_metadata
from alembic.migration import MigrationContext
from sqlalchemy import Connection, Engine, create_engine, insert, inspect, make_url, select, text

from alga_runner.errors import SettingsError
from alga_server.storage import migrations, tables
from alga_server.storage.database import Database
from alga_server.storage.migrations import walk

OLDER = [step.revision for step in walk._script().walk_revisions()][:0:-1]
"""Every revision but today's, oldest first."""
DRIVERS = {"sqlite": "sqlite", "postgresql": "postgresql+psycopg"}


@pytest.fixture
def url(empty_database_url: str) -> str:
    return empty_database_url


@pytest.fixture
def engine(url: str) -> Iterator[Engine]:
    engine = create_engine(make_url(url).set(drivername=DRIVERS[make_url(url).get_backend_name()]))
    yield engine
    engine.dispose()


def walk_to(connection: Connection, revision: str) -> None:
    config = walk._config()
    config.attributes["connection"] = connection
    command.upgrade(config, revision)


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


def test_walking_up_from_nothing_leads_to_the_tables_that_the_code_has(engine: Engine):
    with engine.begin() as connection:
        walk_to(connection, "head")

        assert differences(connection) == []


def test_an_empty_database_gets_the_same_tables_at_once(url: str, engine: Engine):
    start(url)

    with engine.connect() as connection:
        assert differences(connection) == []
        assert migrations.revision_of(connection) == migrations.head()


@pytest.mark.parametrize("revision", OLDER)
def test_a_database_of_an_older_server_is_walked_up_and_keeps_its_rows(
    url: str, engine: Engine, revision: str
):
    with engine.begin() as connection:
        walk_to(connection, revision)
        row = {"content_hash": "sha256:1", "archive": b"kept", "created_at": datetime.now(UTC)}
        connection.execute(insert(tables.bundle).values(row))

    start(url)

    with engine.connect() as connection:
        assert migrations.revision_of(connection) == migrations.head()
        assert connection.execute(select(tables.bundle.c.archive)).scalar_one() == b"kept"
        assert differences(connection) == []


def test_a_database_made_before_there_were_migrations_is_recognised_and_keeps_its_rows(tmp_path: Path):
    url = f"sqlite:///{tmp_path / 'old.db'}"  # there was no other
    engine = create_engine(url)
    with engine.begin() as connection:
        walk_to(connection, walk.FIRST)
        connection.execute(text("DROP TABLE alembic_version"))
        row = {"content_hash": "sha256:1", "archive": b"kept", "created_at": datetime.now(UTC)}
        connection.execute(insert(tables.bundle).values(row))

    start(url)

    with engine.connect() as connection:
        assert migrations.revision_of(connection) == migrations.head()
        assert connection.execute(select(tables.bundle.c.archive)).scalar_one() == b"kept"
        assert differences(connection) == []
    engine.dispose()


def test_a_database_of_a_newer_server_is_left_alone(url: str, engine: Engine):
    start(url)
    with engine.begin() as connection:
        connection.execute(text("UPDATE alembic_version SET version_num = '9999'"))

    with pytest.raises(SettingsError, match="newer server, to revision 9999") as refused:
        start(url)

    assert refused.value.hint is not None


def test_servers_that_start_at_once_migrate_once(url: str, engine: Engine):
    with engine.begin() as connection:
        walk_to(connection, walk.FIRST)
    together, failures = Barrier(4), []

    def begin() -> None:
        together.wait()
        try:
            start(url)
        except Exception as error:  # noqa: BLE001 - whatever it is, the test shows it
            failures.append(error)

    threads = [Thread(target=begin) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    assert failures == []
    with engine.connect() as connection:
        assert differences(connection) == []


def test_a_step_that_fails_changes_nothing(url: str, engine: Engine, monkeypatch: pytest.MonkeyPatch):
    def broken(connection: Connection, revision: str) -> None:
        tables.extension.create(connection)
        raise RuntimeError("the disk is full")

    monkeypatch.setattr(walk, "_stamp", broken)
    monkeypatch.setattr(tables.metadata, "create_all", lambda _connection: None)
    monkeypatch.setattr(walk.queue, "create", lambda _connection: None)
    with pytest.raises(RuntimeError, match="disk"):
        start(url)

    with engine.connect() as connection:
        assert inspect(connection).get_table_names() == []


def test_each_step_follows_one_other():
    steps = list(walk._script().walk_revisions())

    assert [step.revision for step in steps][-1] == walk.FIRST
    assert len({step.down_revision for step in steps}) == len(steps)
