"""SQLite: a file that readers read while one writes, or a memory that is one connection."""

from __future__ import annotations

import os
import re
import sqlite3
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from time import monotonic, sleep
from typing import Any
from urllib.parse import quote_from_bytes, unquote_to_bytes

from sqlalchemy import Connection, Engine, QueuePool, StaticPool, create_engine, event
from sqlalchemy.exc import DatabaseError, DBAPIError, SQLAlchemyError

from alga_common.private_files import create_private, exposure
from alga_runner.errors import SettingsError

from ..errors import DatabaseBusy, DatabaseFull, DatabaseUnavailable
from .backend import Backend, compact_json

_BUSY_TIMEOUT_S = 10.0
"""How long a transaction waits for another process's write to a database file."""

_LOOK_AGAIN_S = 0.001
"""How long a transaction that is to write sleeps before it tries again.

SQLite itself sleeps longer each time, up to a tenth of a second; processes that write in turns idled half the time.
"""

_URL = re.compile(r"sqlite(?:\+pysqlite)?://(.*)", re.DOTALL)
_MEMORY = frozenset({"", "/:memory:"})
_LOCKED = frozenset({sqlite3.SQLITE_BUSY, sqlite3.SQLITE_LOCKED})
_UNUSABLE = frozenset(
    {
        *(sqlite3.SQLITE_CANTOPEN, sqlite3.SQLITE_IOERR, sqlite3.SQLITE_READONLY),
        *(sqlite3.SQLITE_PERM, sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_NOTADB),
    }
)
_READERS = 2
"""Concurrent reads of a file, so that a long one holds up no other.

More of them gain nothing: Python runs one thread at a time, and SQLite lets another run at each row.
"""

_READS_TOGETHER = 8
"""Small reads that wait share a transaction, so many at most: together they take a millisecond or two."""

FILES = ("", "-wal", "-shm")
"""What SQLite adds to the name of a database for its files."""


def sqlite_url(file: Path) -> str:
    """Return the URL of exactly this file: what a URL would read otherwise is percent-encoded."""
    return "sqlite:///" + quote_from_bytes(os.fsencode(file))


def sqlite_file(url: str) -> Path | None:
    """Return the file that a URL of SQLite names, absolute; ``None`` for memory. Raises ``SettingsError``.

    Only percent-encoding has a meaning in its path; bytes that are not UTF-8 stay what they are.
    """
    rest = url.partition("://")[2]
    if rest in _MEMORY:
        return None
    name = unquote_to_bytes(rest.removeprefix("/").encode("utf-8", "surrogateescape"))
    if not rest.startswith("/"):
        fault = "has a host, which a file has not; a path follows three slashes"
    elif not name:
        fault = "names no file after its three slashes; memory is sqlite://"
    elif "?" in rest:
        fault = "has options after a question mark, and SQLite takes none; in a file's name it is %3F"
    elif b"\0" in name:
        fault = "has a null character, which no file's name can hold"
    else:
        return Path(os.fsdecode(name)).absolute()
    raise SettingsError(
        f"The setting database_url (ALGA_SERVER_DATABASE_URL) {fault}.",
        hint="It is like sqlite:///relative/to/here.db or sqlite:////srv/absolute.db.",
    )


def is_sqlite(url: str) -> bool:
    """Whether a database's URL is one of SQLite."""
    return _URL.fullmatch(url) is not None


def open_sqlite(url: str, *, threads: int) -> Backend:
    """A database file, or one in memory for a URL that names none. Two readers are concurrent, at most; one writes.

    Raises ``SettingsError`` for a URL it cannot use.
    """
    file = sqlite_file(url)
    readers = min(threads, _READERS)
    engine = _memory_engine() if file is None else _file_engine(file, connections=readers + 1)
    return Backend(
        reader=engine,
        # A write holds the only write lock from its first statement, so what it reads stays true until it commits.
        writer=engine.execution_options(alga_write=True),
        readers=readers,
        reads_together=_READS_TOGETHER,
        writers=1,
        one_connection=file is None,
        is_there=lambda: file is None or file.exists(),
        before_migrating=lambda _connection: None,
        will_pass=lambda _error: False,
        trouble=_trouble,
        explain=lambda error: _explain(error, file),
        savepoint=_savepoint,
        warnings=lambda: _exposures(file),
    )


def _trouble(error: DBAPIError) -> type[DatabaseUnavailable] | None:
    code = getattr(error.orig, "sqlite_errorcode", 0) & 0xFF  # without what an extended code adds
    if code == sqlite3.SQLITE_FULL:
        return DatabaseFull
    return DatabaseBusy if code in _LOCKED else DatabaseUnavailable if code in _UNUSABLE else None


def _explain(error: SQLAlchemyError, file: Path | None) -> SettingsError:
    why = error.orig if isinstance(error, DatabaseError) else error
    return SettingsError(
        f"The database {file or 'in memory'} that database_url (ALGA_SERVER_DATABASE_URL) names is not usable: {why}.",
        hint="Name a database of an Alga server, or a new file in a folder that exists and that this user can write.",
    )


def _exposures(file: Path | None) -> list[str]:
    if file is None:
        return []
    sentences = [exposure(file.with_name(file.name + suffix)) for suffix in FILES]
    return [sentence for sentence in sentences if sentence is not None]


def _memory_engine() -> Engine:
    """One connection, for whichever thread has its turn."""
    engine = create_engine(
        "sqlite://",
        poolclass=StaticPool,
        connect_args={"check_same_thread": False},
        hide_parameters=True,
        json_serializer=compact_json,
    )
    return _with_our_transactions(engine, "PRAGMA foreign_keys = ON")


def _file_engine(file: Path, *, connections: int) -> Engine:
    """Readers that see the last commit while one writes."""

    def connect() -> sqlite3.Connection:
        try:
            create_private(file)  # SQLite gives its -wal and -shm files the same mode
        except OSError as error:
            failure = sqlite3.OperationalError(f"unable to open database file: {error.strerror}")
            failure.sqlite_errorcode = sqlite3.SQLITE_CANTOPEN
            raise failure from None
        return sqlite3.connect(file, timeout=_BUSY_TIMEOUT_S, check_same_thread=False)

    engine = create_engine(
        "sqlite://",
        creator=connect,
        poolclass=QueuePool,
        pool_size=connections,
        max_overflow=0,
        # An error's text reaches logs, and a statement's parameters are payloads.
        hide_parameters=True,
        json_serializer=compact_json,
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
                # SQLite itself does not wait while another connection changes how the journal is kept.
                if not _executed_once_free(connection, pragma):
                    connection.execute(pragma).close()
        except Exception:
            connection.close()
            raise

    @event.listens_for(engine, "begin")
    def begin(connection: Connection) -> None:
        writes = connection.get_execution_options().get("alga_write", False)
        if writes:
            _begin_to_write(connection)
        else:
            connection.exec_driver_sql("BEGIN")

    return engine


def _begin_to_write(connection: Connection) -> None:
    """Take the lock for writing as soon as it is free; after ``_BUSY_TIMEOUT_S``, raise what SQLite raises."""
    driver: Any = connection.connection.driver_connection
    driver.execute("PRAGMA busy_timeout = 0").close()
    try:
        if not _executed_once_free(driver, "BEGIN IMMEDIATE"):
            connection.exec_driver_sql("BEGIN IMMEDIATE")
    finally:
        driver.execute(f"PRAGMA busy_timeout = {_BUSY_TIMEOUT_S * 1000:.0f}").close()


@contextmanager
def _savepoint(connection: Connection) -> Iterator[None]:
    """By the driver itself: SQLAlchemy takes as long for a savepoint as for a transaction."""
    driver: Any = connection.connection.driver_connection
    driver.execute("SAVEPOINT member").close()
    try:
        yield
    except BaseException:
        driver.execute("ROLLBACK TO member").close()
        raise
    finally:
        driver.execute("RELEASE member").close()


def _executed_once_free(driver: sqlite3.Connection, statement: str) -> bool:
    """Execute ``statement`` once the database is free for it; ``False`` if it fails otherwise, or takes too long."""
    end = monotonic() + _BUSY_TIMEOUT_S
    while monotonic() < end:
        try:
            driver.execute(statement).close()
        except sqlite3.OperationalError as error:
            if error.sqlite_errorcode & 0xFF not in _LOCKED:
                return False
            sleep(_LOOK_AGAIN_S)
        else:
            return True
    return False
