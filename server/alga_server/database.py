"""The storage: one function, one transaction, in a worker thread.

Statements are SQLAlchemy Core and portable. SQLite is what ``_engine`` builds; another backend gets its place there.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Callable
from threading import Lock
from typing import TypeVar

from anyio import CapacityLimiter, to_thread
from sqlalchemy import URL, Connection, Engine, StaticPool, create_engine, event, make_url
from sqlalchemy.exc import ArgumentError

from alga_runner.errors import SettingsError

from .tables import metadata

T = TypeVar("T")

_BUSY_TIMEOUT_S = 30.0
"""How long a connection waits for another process's write to a database file."""


class Database:
    """A database and its worker threads.

    ``read`` and ``write`` run a function over a connection inside one transaction: committed when the function
    returns, rolled back when it raises. A write holds the only write lock from its first statement, so what it reads
    stays true until it commits. Cancelling the caller waits for the transaction to end. Tables are created by
    ``start``, or by the first transaction. Raises ``SettingsError`` for a URL it cannot use.
    """

    def __init__(self, url: str, *, threads: int = 8) -> None:
        parsed = _parse(url)
        in_memory = _is_in_memory(parsed)
        self._engine = _engine(parsed, in_memory=in_memory)
        self._writer = self._engine.execution_options(alga_write=True)
        self._write_turn = CapacityLimiter(1)
        # A database in memory is one connection: its readers wait for its writer.
        self._read_turn = self._write_turn if in_memory else CapacityLimiter(threads)
        self._exclusive = Lock()
        self._in_memory = in_memory
        self._tables_made = False

    async def start(self) -> None:
        """Create what tables are missing."""
        await to_thread.run_sync(self._make_tables, limiter=self._write_turn)

    async def read(self, fn: Callable[[Connection], T]) -> T:
        """What ``fn`` returns, from one transaction that changes nothing."""
        return await to_thread.run_sync(self._run, self._engine, fn, limiter=self._read_turn)

    async def write(self, fn: Callable[[Connection], T]) -> T:
        """What ``fn`` returns, from one transaction that is alone in writing."""
        return await to_thread.run_sync(self._run, self._writer, fn, limiter=self._write_turn)

    async def aclose(self) -> None:
        """Close every connection. A database in memory ends here."""
        await to_thread.run_sync(self._engine.dispose, limiter=self._write_turn)

    def _run(self, engine: Engine, fn: Callable[[Connection], T]) -> T:
        if not self._tables_made:
            self._make_tables()
        if not self._in_memory:
            with engine.begin() as connection:
                return fn(connection)
        # The limiter's turns are per event loop; the one connection has one user whatever the loop.
        with self._exclusive, engine.begin() as connection:
            return fn(connection)

    def _make_tables(self) -> None:
        with self._exclusive:
            if not self._tables_made:
                metadata.create_all(self._writer)
                self._tables_made = True


def _parse(url: str) -> URL:
    try:
        parsed = make_url(url)
    except ArgumentError:
        raise SettingsError("The setting database_url is not a database URL.") from None
    if parsed.get_backend_name() != "sqlite":
        raise SettingsError(
            f"The setting database_url names {parsed.get_backend_name()}, which is not supported.",
            hint="Use sqlite:// or sqlite:///path/to/file.db.",
        )
    return parsed


def _is_in_memory(url: URL) -> bool:
    return url.database in {None, "", ":memory:"}


def _engine(url: URL, *, in_memory: bool) -> Engine:
    # hide_parameters: an error's text reaches logs, and a statement's parameters are payloads.
    if in_memory:
        engine = create_engine(
            url, poolclass=StaticPool, connect_args={"check_same_thread": False}, hide_parameters=True
        )
    else:
        engine = create_engine(url, connect_args={"timeout": _BUSY_TIMEOUT_S}, hide_parameters=True)

    @event.listens_for(engine, "connect")
    def prepare(connection: sqlite3.Connection, _record: object) -> None:
        connection.isolation_level = None  # the driver's own idea of transactions steps aside for ours
        connection.execute("PRAGMA foreign_keys = ON")
        if not in_memory:
            connection.execute("PRAGMA journal_mode = WAL")
            connection.execute("PRAGMA synchronous = NORMAL")

    @event.listens_for(engine, "begin")
    def begin(connection: Connection) -> None:
        writes = connection.get_execution_options().get("alga_write", False)
        connection.exec_driver_sql("BEGIN IMMEDIATE" if writes else "BEGIN")

    return engine
