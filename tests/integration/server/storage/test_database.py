"""The storage: transactions, persistence, cancellation, what errors give away."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path
from threading import Event

import anyio
import pytest
from sqlalchemy import Connection, func, insert, inspect, select, text
from sqlalchemy.exc import IntegrityError

from alga_runner.errors import SettingsError
from alga_server import Server, ServerSettings
from alga_server.storage.database import Database
from alga_server.storage.tables import bundle, metadata

pytestmark = [pytest.mark.anyio, pytest.mark.postgres]


def add(connection: Connection, key: str = "sha256:1") -> None:
    connection.execute(
        insert(bundle).values(content_hash=key, archive=b"secret-bytes", created_at=datetime.now(UTC))
    )


def count(connection: Connection) -> int:
    return connection.execute(select(func.count()).select_from(bundle)).scalar_one()


@pytest.mark.parametrize(
    "url",
    [
        "postgresql+asyncpg://localhost/alga",
        "mysql://localhost/y",
        "postgresql://a:localhost@b:c/d",
        "nonsense",
        "",
    ],
)
async def test_a_url_it_cannot_use_is_a_settings_error(url: str) -> None:
    with pytest.raises(SettingsError, match="database_url") as refusal:
        Database(url)

    assert "localhost" not in str(refusal.value)


async def test_a_write_that_raises_leaves_nothing(quick_database_url: str) -> None:
    database = Database(quick_database_url)

    def half(connection: Connection) -> None:
        add(connection)
        raise LookupError

    with pytest.raises(LookupError):
        await database.write(half)

    assert await database.read(count) == 0
    await database.aclose()


async def test_two_databases_in_memory_share_nothing() -> None:
    first, second = Database("sqlite://"), Database("sqlite://")
    await first.write(add)

    assert await first.read(count) == 1
    assert await second.read(count) == 0
    await first.aclose()
    await second.aclose()


async def test_the_first_transaction_makes_the_tables(empty_database_url: str) -> None:
    database = Database(empty_database_url)

    names = await database.read(lambda connection: inspect(connection).get_table_names())

    assert {name for name in names if not name.startswith("procrastinate_")} == {
        *metadata.tables,
        "alembic_version",
    }
    await database.aclose()


async def test_a_file_keeps_what_was_written(database_url: str) -> None:
    first = Database(database_url)
    await first.write(add)
    await first.aclose()

    second = Database(database_url)
    await second.start()

    assert await second.read(count) == 1
    await second.aclose()


async def test_a_file_uses_a_write_ahead_log_and_real_keys(tmp_path: Path) -> None:
    database = Database(f"sqlite:///{tmp_path / 'alga.db'}")

    def pragmas(connection: Connection) -> tuple[str, int]:
        return (
            connection.execute(text("PRAGMA journal_mode")).scalar_one(),
            connection.execute(text("PRAGMA foreign_keys")).scalar_one(),
        )

    assert await database.read(pragmas) == ("wal", 1)
    await database.aclose()


async def test_a_reader_does_not_wait_for_a_writer(database_url: str) -> None:
    database = Database(database_url)
    await database.start()
    written, go_on = Event(), Event()

    def slow(connection: Connection) -> None:
        add(connection)
        written.set()
        assert go_on.wait(30)

    async with anyio.create_task_group() as group:
        group.start_soon(database.write, slow)
        assert await anyio.to_thread.run_sync(written.wait, 30)
        assert await database.read(count) == 0
        go_on.set()

    assert await database.read(count) == 1
    await database.aclose()


async def test_cancelling_a_write_waits_for_its_end(quick_database_url: str) -> None:
    database = Database(quick_database_url)
    await database.start()
    begun, go_on = Event(), Event()

    def slow(connection: Connection) -> None:
        begun.set()
        assert go_on.wait(30)
        add(connection)

    async with anyio.create_task_group() as group:
        group.start_soon(database.write, slow)
        assert await anyio.to_thread.run_sync(begun.wait, 30)
        group.cancel_scope.cancel()
        go_on.set()

    assert await database.read(count) == 1
    await database.aclose()


async def test_an_error_does_not_carry_the_statements_parameters(quick_database_url: str) -> None:
    database = Database(quick_database_url)
    await database.write(add)

    with pytest.raises(IntegrityError) as refusal:
        await database.write(add)

    assert "secret-bytes" not in str(refusal.value)
    await database.aclose()


async def test_a_server_can_be_started_twice_on_one_database(database_url: str) -> None:
    settings = ServerSettings(database_url=database_url)

    async with Server(settings), Server(settings) as second:
        assert await second._services.database.read(count) == 0


async def test_a_database_that_cannot_be_opened_is_a_settings_error(tmp_path: Path) -> None:
    database = Database(f"sqlite:///{tmp_path / 'missing' / 'alga.db'}")

    with pytest.raises(SettingsError, match="unable to open database file: No such file"):
        await database.start()
    await database.aclose()


async def test_a_file_that_is_no_database_is_a_settings_error(tmp_path: Path) -> None:
    path = tmp_path / "alga.db"
    path.write_text("this is no database, and long enough to be looked at " * 10)
    database = Database(f"sqlite:///{path}")

    with pytest.raises(SettingsError, match="not a database"):
        await database.start()
    await database.aclose()


async def test_many_may_start_on_one_new_database_at_once(empty_database_url: str) -> None:
    databases = [Database(empty_database_url) for _ in range(8)]

    async with anyio.create_task_group() as group:
        for database in databases:
            group.start_soon(database.start)

    for number, database in enumerate(databases):
        await database.write(lambda connection, key=str(number): add(connection, key))
    assert await databases[0].read(count) == 8
    for database in databases:
        await database.aclose()


async def test_more_readers_than_connections_take_turns(database_url: str) -> None:
    database = Database(database_url, threads=2)
    await database.write(add)
    counts: list[int] = []

    async def read() -> None:
        counts.append(await database.read(count))

    async with anyio.create_task_group() as group:
        for _ in range(20):
            group.start_soon(read)

    assert counts == [1] * 20
    await database.aclose()


async def test_a_database_in_memory_starts_again_empty_after_it_was_closed() -> None:
    database = Database("sqlite://")
    await database.write(add)
    await database.aclose()

    assert await database.read(count) == 0
    await database.aclose()
