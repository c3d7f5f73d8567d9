"""SQLite: a file that readers read while one writes, or a memory that is one connection."""

from __future__ import annotations

import sqlite3
from pathlib import Path

from sqlalchemy import URL, Connection, Engine, StaticPool, create_engine, event
from sqlalchemy.exc import DatabaseError, SQLAlchemyError

from alga_runner.errors import SettingsError

from .backend import Backend

_BUSY_TIMEOUT_S = 30.0
"""How long a connection waits for another process's write to a database file."""


def open_sqlite(url: URL, *, threads: int) -> Backend:
    """A database file, or one in memory for a URL that names none. ``threads`` readers are concurrent; one writes."""
    in_memory = url.database in {None, "", ":memory:"}
    engine = _memory_engine(url) if in_memory else _file_engine(url, connections=threads + 1)
    return Backend(
        reader=engine,
        # A write holds the only write lock from its first statement, so what it reads stays true until it commits.
        writer=engine.execution_options(alga_write=True),
        writers=1,
        one_connection=in_memory,
        is_there=lambda: in_memory or Path(str(url.database)).exists(),
        before_migrating=lambda _connection: None,
        will_pass=lambda _error: False,
        explain=_explain,
    )


def _explain(error: SQLAlchemyError) -> SettingsError:
    why = error.orig if isinstance(error, DatabaseError) else error
    return SettingsError(f"The database that database_url names is not usable: {why}.")


def _memory_engine(url: URL) -> Engine:
    """One connection, for whichever thread has its turn."""
    engine = create_engine(
        url, poolclass=StaticPool, connect_args={"check_same_thread": False}, hide_parameters=True
    )
    return _with_our_transactions(engine, "PRAGMA foreign_keys = ON")


def _file_engine(url: URL, *, connections: int) -> Engine:
    """Readers that see the last commit while one writes."""
    engine = create_engine(
        url,
        pool_size=connections,
        max_overflow=0,
        connect_args={"timeout": _BUSY_TIMEOUT_S},
        # An error's text reaches logs, and a statement's parameters are payloads.
        hide_parameters=True,
    )
    return _with_our_transactions(
        engine, "PRAGMA foreign_keys = ON", "PRAGMA journal_mode = WAL", "PRAGMA synchronous = NORMAL"
    )


def _with_our_transactions(engine: Engine, *pragmas: str) -> Engine:
    @event.listens_for(engine, "connect")
    def prepare(connection: sqlite3.Connection, _record: object) -> None:
        connection.isolation_level = None  # the driver's own idea of transactions steps aside for ours
        try:
            for pragma in pragmas:
                connection.execute(pragma).close()
        except Exception:
            connection.close()
            raise

    @event.listens_for(engine, "begin")
    def begin(connection: Connection) -> None:
        writes = connection.get_execution_options().get("alga_write", False)
        connection.exec_driver_sql("BEGIN IMMEDIATE" if writes else "BEGIN")

    return engine
