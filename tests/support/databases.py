"""Databases for tests of the server: SQLite, or PostgreSQL where one is given."""

from __future__ import annotations

import os
import sqlite3
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING
from uuid import uuid4

if TYPE_CHECKING:
    from alga_server import Server

POSTGRES = os.environ.get("ALGA_TEST_POSTGRES") or None
"""The URL of a PostgreSQL server on which the server's tests run, in place of SQLite; scripts/postgres.py gives one."""


@contextmanager
def postgres_database(server: str, *, template: str | None = None) -> Iterator[str]:
    """The URL of a new database, copied from ``template``; it is dropped at the end."""
    import psycopg  # noqa: PLC0415 - most tests need no database
    from sqlalchemy import make_url  # noqa: PLC0415

    name = f"test_{uuid4().hex}"
    like = f"TEMPLATE {template} STRATEGY FILE_COPY" if template else ""
    with psycopg.connect(server, autocommit=True) as connection:
        connection.execute(f"CREATE DATABASE {name} {like}")
        try:
            yield make_url(server).set(database=name).render_as_string(hide_password=False)
        finally:
            connection.execute(f"DROP DATABASE {name} WITH (FORCE)")


@contextmanager
def full(server: Server) -> Iterator[None]:
    """The server's SQLite database takes no further page meanwhile; what fits into those it has is still written."""
    from sqlalchemy import Connection, event  # noqa: PLC0415 - most tests need no database

    engine = server._services.database._backend.reader
    with engine.connect() as connection:
        most: int = connection.exec_driver_sql("PRAGMA page_count").scalar_one()

    def bound(connection: Connection) -> None:
        connection.exec_driver_sql(f"PRAGMA max_page_count = {most}").close()

    event.listen(engine, "begin", bound, insert=True)
    try:
        yield
    finally:
        most = 2**32 - 2  # of connections that are used again


@contextmanager
def locked(server: Server) -> Iterator[None]:
    """Another process holds the write lock of the server's SQLite file meanwhile."""
    from alga_server.storage.sqlite import sqlite_file  # noqa: PLC0415 - most tests need no database

    file = sqlite_file(server._services.settings.database_url)
    assert file is not None
    connection = sqlite3.connect(file, isolation_level=None)
    connection.execute("BEGIN IMMEDIATE")
    try:
        yield
    finally:
        connection.close()


async def create_tables(url: str) -> None:
    """Migrate a database, as a server does when it starts."""
    from alga_server.storage.database import Database  # noqa: PLC0415 - most tests need no database

    database = Database(url)
    await database.start()
    await database.aclose()
