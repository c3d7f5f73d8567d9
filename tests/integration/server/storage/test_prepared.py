"""Prepared queries give what SQLAlchemy gives, and fail as it does, on either database."""

from __future__ import annotations

import sqlite3
from collections.abc import AsyncIterator
from contextlib import closing
from datetime import UTC, datetime
from itertools import islice

import pytest
from sqlalchemy import BigInteger, Connection, bindparam, column, delete, func, insert, literal, select, table
from sqlalchemy.exc import DBAPIError, StatementError

from alga_server.storage import tables
from alga_server.storage.database import Database
from alga_server.storage.prepared import Prepared

pytestmark = [pytest.mark.anyio, pytest.mark.postgres]

NOW = datetime(2026, 1, 2, 3, 4, 5, 678_000, tzinfo=UTC)
_registry = tables.extension.c
_OF_PUBLISHER = (
    select(
        *(_registry.id, _registry.created_at, literal("own"), literal(True)),
        func.aggregate_strings(_registry.name, "; ").over(),
    )
    .where(_registry.publisher == bindparam("of_publisher"))
    .order_by(_registry.id)
)


@pytest.fixture
async def database(quick_database_url: str) -> AsyncIterator[Database]:
    """A database with three extensions of one publisher, and one of another."""
    database = Database(quick_database_url)
    rows = [
        {"id": f"id-{number}", "publisher": publisher, "name": f"name-{number}", "created_at": NOW}
        for number, publisher in enumerate(["a", "a", "a", "b"])
    ]
    await database.write(lambda connection: connection.execute(insert(tables.extension), rows))
    yield database
    await database.aclose()


async def test_rows_are_those_of_sqlalchemy_with_values_of_the_same_types(database: Database) -> None:
    prepared = Prepared(_OF_PUBLISHER)

    def both(connection: Connection) -> tuple[list[object], list[object]]:
        for publisher in ("a", "b"):  # the second finds it compiled
            given = {"of_publisher": publisher}
            ours, theirs = list(prepared.rows(connection, given)), connection.execute(_OF_PUBLISHER, given)
        return list(ours), list(map(tuple, theirs))

    ours, theirs = await database.read(both)
    assert ours == theirs == [("id-3", NOW, "own", True, "name-3")]


async def test_a_parameter_of_an_earlier_run_is_no_value_of_a_later_one(database: Database) -> None:
    prepared = Prepared(_OF_PUBLISHER)

    def run(connection: Connection) -> None:
        assert len(list(prepared.rows(connection, {"of_publisher": "a"}))) == 3
        list(prepared.rows(connection, {}))

    with pytest.raises(KeyError if database.reads_together > 1 else StatementError, match="of_publisher"):
        await database.read(run)


async def test_rows_that_are_not_taken_leave_the_connection_usable(database: Database) -> None:
    prepared = Prepared(_OF_PUBLISHER)

    def first(connection: Connection) -> list[object]:
        with closing(prepared.rows(connection, {"of_publisher": "a"})) as rows:
            return [row[0] for row in islice(rows, 1)]

    assert await database.read(first) == ["id-0"]
    assert await database.write(first) == ["id-0"]


async def test_a_query_for_one_row_gives_it_or_nothing(database: Database) -> None:
    prepared = Prepared(_OF_PUBLISHER)

    row = await database.read(lambda connection: prepared.row(connection, {"of_publisher": "b"}))
    missing = await database.read(lambda connection: prepared.row(connection, {"of_publisher": "c"}))

    assert (row is not None and row[0], missing) == ("id-3", None)


async def test_a_fault_is_sqlalchemy_s_error_without_parameters(database: Database) -> None:
    missing = select(column("x")).select_from(table("nowhere")).where(column("x") == bindparam("secret"))

    with pytest.raises(DBAPIError) as raised:
        await database.read(lambda connection: Prepared(missing).row(connection, {"secret": "hunter2"}))

    assert "nowhere" in str(raised.value)
    assert "hunter2" not in str(raised.value)


async def test_a_fault_behind_some_rows_is_raised_behind_them(database: Database) -> None:
    # The largest whole number of both databases is at the third row, and no database counts on from there.
    number = func.row_number().over(order_by=_registry.id)
    faulty = Prepared(select(func.abs(literal(-(2**63) + 3, BigInteger) - number)).order_by(_registry.id))
    taken = list[object]()

    with pytest.raises(DBAPIError):
        await database.read(lambda connection: taken.extend(faulty.rows(connection, {})))


async def test_a_fault_that_ends_the_transaction_is_not_followed_by_writes_outside_of_one(
    database: Database,
) -> None:
    """SQLite does so when it cannot read the file, or has no memory."""
    if database.reads_together == 1:
        pytest.skip("PostgreSQL refuses what follows a fault")
    query = Prepared(select(func.end_transaction()))
    forget = delete(tables.extension)

    def write(connection: Connection) -> None:
        driver = connection.connection.driver_connection
        assert isinstance(driver, sqlite3.Connection)

        def end() -> int:
            if driver.in_transaction:
                driver.execute("ROLLBACK").close()
                raise OSError
            return 1

        driver.create_function("end_transaction", 0, end)
        query.row(connection, {})
        connection.execute(forget)
        raise LookupError

    with pytest.raises(DBAPIError):
        await database.write(write)

    count = select(func.count()).select_from(tables.extension)
    assert await database.read(lambda connection: connection.execute(count).scalar_one()) == 4
