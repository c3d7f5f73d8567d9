"""The storage: one function, one transaction, in a worker thread.

Statements are SQLAlchemy Core and portable. The engines below speak SQLite; another backend's goes beside them.
"""

from __future__ import annotations

import logging
import sqlite3
from collections.abc import Callable
from threading import Lock
from typing import TypeVar

from anyio import CapacityLimiter, to_thread
from sqlalchemy import URL, Connection, Engine, StaticPool, create_engine, event, make_url
from sqlalchemy.exc import ArgumentError, DatabaseError

from alga_runner.errors import SettingsError

from . import migrations

T = TypeVar("T")

logger = logging.getLogger("alga_server")

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
        self._engine = _memory_engine(parsed) if in_memory else _file_engine(parsed, connections=threads + 1)
        self._writer = self._engine.execution_options(alga_write=True)
        self._write_turn = CapacityLimiter(1)
        # A database in memory is one connection: its readers wait for its writer.
        self._read_turn = self._write_turn if in_memory else CapacityLimiter(threads)
        self._exclusive = Lock()
        self._in_memory = in_memory
        self._tables_made = False

    async def start(self) -> None:
        """Create what tables are missing. Raises ``SettingsError`` if the database cannot be opened."""
        await to_thread.run_sync(self._make_tables, limiter=self._write_turn)

    async def read(self, fn: Callable[[Connection], T]) -> T:
        """What ``fn`` returns, from one transaction that changes nothing."""
        return await to_thread.run_sync(self._run, self._engine, fn, limiter=self._read_turn)

    async def write(self, fn: Callable[[Connection], T]) -> T:
        """What ``fn`` returns, from one transaction that is alone in writing."""
        return await to_thread.run_sync(self._run, self._writer, fn, limiter=self._write_turn)

    async def aclose(self) -> None:
        """Close every connection. A database in memory ends here, and would start again empty."""
        await to_thread.run_sync(self._dispose, limiter=self._write_turn)

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
            if self._tables_made:
                return
            try:
                with self._writer.begin() as connection:
                    before, now = migrations.upgrade(connection)
            except migrations.SchemaTooNew as newer:
                raise SettingsError(
                    f"The database was migrated by a newer server, to revision {newer};"
                    f" this one knows {migrations.head()}.",
                    hint="Start the newer server, or give this one another database_url.",
                ) from None
            except DatabaseError as error:
                raise SettingsError(
                    f"The database that database_url names is not usable: {error.orig}."
                ) from None
            if before not in {None, now}:
                logger.info(
                    "The database was migrated from revision %s to %s",
                    before,
                    now,
                    extra={"action": "database_migrated", "from_revision": before, "to_revision": now},
                )
            self._tables_made = True

    def _dispose(self) -> None:
        with self._exclusive:
            self._engine.dispose()
            self._tables_made = False


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
