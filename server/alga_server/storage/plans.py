"""How PostgreSQL looks for rows. SQLite has no other way than the one that its statements are written for."""

from __future__ import annotations

from typing import Any

from sqlalchemy import Connection, Select, func, select


def _without(*ways: str) -> Select[Any]:
    return select(*(func.set_config(f"enable_{way}", "off", True) for way in ways))


_OTHER_WAYS = ("seqscan", "bitmapscan", "hashjoin", "mergejoin")
_BY_INDEX = _without(*_OTHER_WAYS)
_IN_ORDER = _without(*_OTHER_WAYS, "sort")


def by_index(connection: Connection) -> None:
    """Find rows by an index until the transaction ends, wherever there is one.

    Without statistics of a table, or with old ones, PostgreSQL may take a few that are given (``batches``) for many,
    and read the whole table for them.
    """
    _set(connection, _BY_INDEX)


def in_order(connection: Connection) -> None:
    """As ``by_index``, and read rows in the order of an index: for pages.

    PostgreSQL may take all rows that match for a few, and sort them for each page. Not for rows that are given: rather
    than sort them, it would read every row there is in their order, to see which of them are given.
    """
    _set(connection, _IN_ORDER)


def _set(connection: Connection, ways: Select[Any]) -> None:
    if connection.dialect.name == "postgresql":
        connection.execute(ways).all()
