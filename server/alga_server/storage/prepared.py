"""Queries that are compiled once and, on SQLite, run by its driver.

For a statement SQLAlchemy takes several times as long as SQLite. PostgreSQL waits for the network, so there it is left
to SQLAlchemy.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Callable, Generator, Mapping
from contextlib import closing
from itertools import islice
from typing import Any

from sqlalchemy import Connection, Dialect, Select
from sqlalchemy.exc import DatabaseError


class Prepared:
    """A query whose parameters are text and whole numbers, which every database takes as they are."""

    def __init__(self, query: Select[Any]) -> None:
        self._query = query
        self._compiled: _Compiled | None = None

    def rows(self, connection: Connection, parameters: Mapping[str, object]) -> Generator[tuple[Any, ...]]:
        """Give the rows, with values of the query's types. SQLite reads a row once it is taken.

        Close it before the transaction ends, unless all rows were taken. Raises ``DBAPIError``.
        """
        taken = 0
        driver = connection.connection.driver_connection
        if isinstance(driver, sqlite3.Connection):
            compiled = self._compiled
            if compiled is None:
                compiled = self._compiled = _Compiled(self._query, connection.dialect, parameters)
            try:
                with closing(compiled.run(driver, parameters)) as cursor:
                    for row in cursor:
                        values = list(row)
                        for at, convert in compiled.converters:
                            if values[at] is not None:
                                values[at] = convert(values[at])
                        taken += 1
                        yield tuple(values)
            except sqlite3.Error as error:
                if (
                    not driver.in_transaction
                ):  # the fault ended it: what follows would be committed piece by piece
                    raise DatabaseError(None, None, error, hide_parameters=True) from None
                # SQLAlchemy meets the same fault, and raises its own error.
            else:
                return
        with connection.execute(self._query, parameters) as result:
            yield from islice(map(tuple, result), taken, None)

    def row(self, connection: Connection, parameters: Mapping[str, object]) -> tuple[Any, ...] | None:
        """Return the only row; ``None`` without one."""
        rows = list(self.rows(connection, parameters))
        return rows[0] if rows else None


class _Compiled:
    """A query as text for SQLite, the values of its own parameters, and what makes the driver's values the types'."""

    def __init__(self, query: Select[Any], dialect: Dialect, parameters: Mapping[str, object]) -> None:
        expanded = query.compile(dialect=dialect).construct_expanded_state(parameters)
        self._text = expanded.statement
        self._names = expanded.positiontup or ()
        self._own = {name: expanded.parameters[name] for name in self._names if name not in parameters}
        types = [column.type.dialect_impl(dialect) for column in query.selected_columns]
        converters = [kind.result_processor(dialect, None) for kind in types]
        self.converters: list[tuple[int, Callable[[Any], Any]]] = [
            (at, convert) for at, convert in enumerate(converters) if convert is not None
        ]

    def run(self, driver: sqlite3.Connection, parameters: Mapping[str, object]) -> sqlite3.Cursor:
        known = {**parameters, **self._own}
        return driver.execute(self._text, [known[name] for name in self._names])
