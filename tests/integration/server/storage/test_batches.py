"""Statements about many rows do to each of them what a statement for each would, on either database."""

from __future__ import annotations

from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta, timezone
from typing import Any

import pytest
from sqlalchemy import Connection, event, insert, select

from alga_server.storage import batches, tables
from alga_server.storage.batches import UpdateMany
from alga_server.storage.database import Database

pytestmark = [pytest.mark.anyio, pytest.mark.postgres]

NOW = datetime(2026, 1, 2, 3, 4, 5, 678_901, tzinfo=UTC)
_registry = tables.extension
_UPDATE = UpdateMany(
    _registry, {"of_publisher": _registry.c.publisher, "of_id": _registry.c.id}, ["name", "created_at"]
)
_SEVERAL = {
    dialect: select(_registry.c.id).where(several)
    for dialect, several in batches.owned(_registry.c.publisher, _registry.c.id).items()
}
_LISTED = {
    dialect: select(_registry.c.id).where(listed)
    for dialect, listed in batches.listed(_registry.c.id).items()
}
TEXT = 'it\'s \\ a "name", {with} \n \u20ac \U0001f600 %s :x'


@pytest.fixture
async def database(quick_database_url: str) -> AsyncIterator[Database]:
    """A database with five extensions, of two publishers."""
    database = Database(quick_database_url)
    rows = [
        {"id": f"id-{number}", "publisher": publisher, "name": f"name-{number}", "created_at": NOW}
        for number, publisher in enumerate(["a", "a", "a", "b", "b"])
    ]
    await database.write(lambda connection: connection.execute(insert(_registry), rows))
    yield database
    await database.aclose()


async def stored(database: Database) -> list[tuple[Any, ...]]:
    query = select(_registry.c.id, _registry.c.name, _registry.c.created_at).order_by(_registry.c.id)
    return [tuple(row) for row in await database.read(lambda connection: connection.execute(query).all())]


def new(publisher: str, row_id: str, name: str, created_at: datetime = NOW) -> dict[str, object]:
    return {"of_publisher": publisher, "of_id": row_id, "name": name, "created_at": created_at}


async def test_each_row_gets_its_own_values_and_no_other_row_is_changed(database: Database) -> None:
    later = datetime(2026, 7, 1, 12, tzinfo=timezone(timedelta(hours=2)))
    values = [new("a", "id-2", TEXT, later), new("b", "id-3", ""), new("a", "id-9", "of no row")]

    await database.write(lambda connection: _UPDATE.run(connection, values))

    assert await stored(database) == [
        ("id-0", "name-0", NOW),
        ("id-1", "name-1", NOW),
        ("id-2", TEXT, datetime(2026, 7, 1, 10, tzinfo=UTC)),
        ("id-3", "", NOW),
        ("id-4", "name-4", NOW),
    ]


async def test_a_row_is_found_by_the_whole_of_its_key(database: Database) -> None:
    before = await stored(database)

    await database.write(lambda c: _UPDATE.run(c, [new("b", "id-0", "stolen"), new("a", "id-3", "stolen")]))

    assert await stored(database) == before


@pytest.mark.parametrize("count", [0, 1, 3])
async def test_ids_and_owners_name_exactly_their_rows(database: Database, count: int) -> None:
    ids = ["id-0", "id-3", "id-4", "id-9"][:count]
    owners = [("a", "id-1"), ("b", "id-4"), ("a", "id-3"), ("a", "id-1")][:count]

    def read(connection: Connection) -> tuple[set[str], list[str]]:
        dialect = connection.dialect.name
        by_id = connection.execute(_LISTED[dialect], batches.ids(connection, ids)).scalars()
        by_owner = connection.execute(_SEVERAL[dialect], batches.places(connection, owners)).scalars()
        return set(by_id), sorted(by_owner)

    assert await database.read(read) == (set(ids), ["id-1", "id-4"][:count])


async def test_postgresql_has_one_statement_for_any_number_of_rows(database: Database) -> None:
    statements, for_each_row = list[str](), list[bool]()

    def count(_connection: Any, _cursor: Any, text: str, _values: Any, _context: Any, many: bool) -> None:
        statements.append(text)
        for_each_row.append(many)

    def update(connection: Connection) -> str:
        event.listen(connection, "before_cursor_execute", count)
        for rows in (1, 2, 3):
            _UPDATE.run(connection, [new("a", f"id-{at}", f"of {rows}: {at}") for at in range(rows)])
            connection.execute(
                _LISTED[connection.dialect.name], batches.ids(connection, ["id-0"] * rows)
            ).all()
        return connection.dialect.name

    dialect = await database.write(update)

    assert len(statements) == 6
    assert len(set(statements)) == (2 if dialect == "postgresql" else 4)
    assert any(for_each_row) == (dialect == "sqlite")
    assert [name for _, name, _ in await stored(database)][:3] == ["of 3: 0", "of 3: 1", "of 3: 2"]
