"""How PostgreSQL looks for rows. SQLite has no other way than the one that its statements are written for."""

from __future__ import annotations

from sqlalchemy import Connection, func, select

_OTHER_WAYS = ("seqscan", "bitmapscan", "sort", "hashjoin", "mergejoin")
_BY_INDEX = select(*(func.set_config(f"enable_{way}", "off", True) for way in _OTHER_WAYS))


def by_index(connection: Connection) -> None:
    """Read rows in the order of an index until the transaction ends, wherever there is one.

    Without statistics of a table, or with old ones, PostgreSQL may take all rows that match for a few, and sort them
    for each page; or take a few that are given (``batches``) for many, and read the whole table for them.
    """
    if connection.dialect.name == "postgresql":
        connection.execute(_BY_INDEX).all()
