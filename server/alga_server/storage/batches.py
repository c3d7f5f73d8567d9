"""Statements about many rows. On PostgreSQL each has one text for any number of them, so that it is planned once.

A list that is expanded into a statement makes another statement of each length: SQLAlchemy writes it, the driver
converts each value, PostgreSQL parses and plans it. And a statement that is executed for each row costs as much for
each. So PostgreSQL takes ids as one text and rows as one JSON document. SQLite keeps the usual forms, which are cheaper
there.

Where the database has no statistics of a table it does not know that the rows are few: ``plans.by_index`` goes first.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from datetime import UTC, datetime
from typing import Any

from sqlalchemy import (
    ARRAY,
    JSON,
    Column,
    ColumnElement,
    Connection,
    String,
    Table,
    TableValuedAlias,
    Text,
    Update,
    any_,
    bindparam,
    cast,
    func,
    literal_column,
    tuple_,
    update,
)
from sqlalchemy import column as named
from sqlalchemy.types import TypeEngine

_BETWEEN = ","


def listed(column: ColumnElement[str]) -> dict[str, ColumnElement[bool]]:
    """The condition that ``column`` is one of ``ids``, by dialect."""
    return {
        "sqlite": column.in_(bindparam("ids", expanding=True)),
        "postgresql": column == any_(text_array()),
    }


def text_array() -> ColumnElement[Sequence[str]]:
    """The ``ids`` as an array of PostgreSQL's."""
    between = literal_column(f"'{_BETWEEN}'", String())
    return func.string_to_array(bindparam("ids", type_=Text()), between, type_=ARRAY(String()))


def ids(connection: Connection, values: Iterable[str]) -> dict[str, object]:
    """The parameter ``ids``: UUIDs, which have no comma."""
    return {"ids": list(values) if connection.dialect.name == "sqlite" else _BETWEEN.join(values)}


def owned(tenant_id: Column[str], install_id: Column[str]) -> dict[str, ColumnElement[bool]]:
    """The condition that the two columns are one of the ``places``, by dialect."""
    places = given({"of_tenant": tenant_id.type, "of_install": install_id.type}, "places")
    return {
        "sqlite": tuple_(tenant_id, install_id).in_(bindparam("places", expanding=True)),
        "postgresql": (tenant_id == places.c.of_tenant) & (install_id == places.c.of_install),
    }


def places(connection: Connection, owners: Iterable[tuple[str, str]]) -> dict[str, object]:
    """The parameter ``places``: each tenant's install once."""
    pairs = sorted(set(owners))
    if connection.dialect.name == "sqlite":
        return {"places": pairs}
    return {"places": _encode([{"of_tenant": tenant, "of_install": install} for tenant, install in pairs])}


def given(types: Mapping[str, TypeEngine[Any]], parameter: str = "rows") -> TableValuedAlias:
    """A table of the rows in a parameter of PostgreSQL's, which ``rows`` makes."""
    document = cast(bindparam(parameter, type_=Text()), JSON)
    columns = [named(name, kind) for name, kind in types.items()]
    table = func.json_to_recordset(document).table_valued(*columns, name=f"given_{parameter}")
    return table.render_derived(with_types=True)


def rows(values: Sequence[Mapping[str, object]]) -> dict[str, object]:
    """The parameter ``rows``."""
    return {"rows": _encode(values)}


class UpdateMany:
    """Sets columns of a table's rows, each row by its own values; ``key`` has the columns that name it."""

    def __init__(self, table: Table, key: Mapping[str, Column[str]], columns: Sequence[str]) -> None:
        keys = {name: column.type for name, column in key.items()}
        values = given({**keys, **{name: table.c[name].type for name in columns}})
        self._one: Update = update(table).where(*(column == bindparam(name) for name, column in key.items()))
        self._many: Update = (
            update(table)
            .where(*(column == values.c[name] for name, column in key.items()))
            .values({name: values.c[name] for name in columns})
        )

    def run(self, connection: Connection, values: Sequence[Mapping[str, object]]) -> None:
        """Update the rows that ``values`` name, no row twice; each has the key's parameters, and all of the columns."""
        if connection.dialect.name == "sqlite":
            connection.execute(self._one, values)
        else:
            connection.execute(self._many, rows(values))


def _json(value: object) -> str:
    if isinstance(value, datetime):
        return value.astimezone(UTC).replace(tzinfo=None).isoformat()  # as tables.Instant keeps it
    raise TypeError(f"{type(value).__name__} is no value of a row")


_encode = json.JSONEncoder(separators=(",", ":"), ensure_ascii=False, default=_json).encode
