"""PostgreSQL, through psycopg: writers are concurrent, and row locks order them (``locks``).

Writes are READ COMMITTED: each statement sees all commits before it, so a transaction that waited for a lock sees the
change that it waited for. Reads are REPEATABLE READ: one state from the first statement to the last.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from sqlalchemy import URL, Connection, Engine, create_engine, event, func, make_url, select, text
from sqlalchemy.engine import ExceptionContext
from sqlalchemy.exc import ArgumentError, DBAPIError, OperationalError, SQLAlchemyError

from alga_runner.errors import SettingsError

from ..errors import DatabaseBusy, DatabaseFull, DatabaseUnavailable
from .backend import Backend, compact_json

OLDEST = 13
"""The oldest version that is supported."""

_CONNECT_TIMEOUT_S = 10
_LOCK_TIMEOUT_S = 10
"""How long a statement waits for another transaction."""
_IDLE_TIMEOUT_S = 60
"""After this long the database ends a transaction whose server does nothing: it was stopped, and holds locks."""

_MIGRATION = 0x416C6761
"""The key of the advisory lock for migrating."""

_PASSING = frozenset({"40001", "40P01"})
"""serialization_failure and deadlock_detected."""

_LOCKED = _PASSING | {"55P03"}
"""And lock_not_available, after ``_LOCK_TIMEOUT_S``."""

_FULL = "53100"
"""disk_full."""

_READ_ONLY = ("25006", "0A000")
"""read_only_sql_transaction; and feature_not_supported, a standby's answer to a transaction that asks to write."""

_UNUSABLE = ("08", "28", "3D", "53", "57", "58", *_READ_ONLY)
"""No connection, no such user or database, no resources, shut down, a failure of the system; or it takes no changes."""


def open_postgres(url: URL, *, threads: int, session: Mapping[str, str]) -> Backend:
    """A database of a PostgreSQL server. ``threads`` readers are concurrent, and half as many writers.

    ``session`` are settings of its sessions.

    Raises ``SettingsError`` without the driver. Nothing is connected yet.
    """
    writers = max(2, threads // 2)
    engine = _engine(url, session, connections=threads + writers)
    return Backend(
        reader=engine.execution_options(isolation_level="REPEATABLE READ", postgresql_readonly=True),
        writer=engine.execution_options(isolation_level="READ COMMITTED"),
        readers=threads,
        reads_together=1,  # each waits for the network, concurrently
        writers=writers,
        one_connection=False,
        is_there=lambda: True,
        before_migrating=_before_migrating,
        will_pass=lambda error: getattr(error.orig, "sqlstate", None) in _PASSING,
        trouble=_trouble,
        explain=lambda error: _explain(error, url),
        savepoint=None,
        warnings=list,
    )


def url_without_password(url: str) -> str:
    """Return a database's URL as PostgreSQL's own programs take it. Raises ``SettingsError``."""
    try:
        given = make_url(url)
    except (ArgumentError, ValueError):  # its text may quote the URL, and with it a password
        raise SettingsError(
            "The setting database_url (ALGA_SERVER_DATABASE_URL) is not a database URL."
        ) from None
    query = given.difference_update_query(["password"]).query
    return URL.create(
        "postgresql", given.username, None, given.host, given.port, given.database, query
    ).render_as_string()


def _engine(url: URL, session: Mapping[str, str], *, connections: int) -> Engine:
    limits = f"-c lock_timeout={_LOCK_TIMEOUT_S}s -c idle_in_transaction_session_timeout={_IDLE_TIMEOUT_S}s"
    ours = [f"-c {name}={value}" for name, value in session.items()]
    given = url.query.get("options", "")
    options = " ".join([limits, *ours, *([given] if isinstance(given, str) else given)]).strip()
    rest = url.difference_update_query(["options"])
    arguments: dict[str, Any] = {
        "options": options,
        "application_name": "alga-server",
        "client_encoding": "utf8",
    }
    if "connect_timeout" not in url.query:
        arguments["connect_timeout"] = _CONNECT_TIMEOUT_S
    try:
        engine = create_engine(
            rest.set(drivername="postgresql+psycopg"),
            pool_size=connections,
            max_overflow=0,
            pool_pre_ping=True,  # a server that was restarted costs no request
            connect_args=arguments,
            hide_parameters=True,
            json_serializer=compact_json,
        )
    except ImportError:
        raise SettingsError(
            "The setting database_url (ALGA_SERVER_DATABASE_URL) names a PostgreSQL database,"
            " and its driver is not installed.",
            hint="Install alga-runner with its extra `postgres`, as docs/postgresql.md shows.",
        ) from None
    event.listen(engine, "handle_error", _forget_values)
    return engine


def _forget_values(context: ExceptionContext) -> None:
    """Cut an error down to its first line: the details below it quote rows, and its text reaches logs."""
    original = context.original_exception
    primary = getattr(getattr(original, "diag", None), "message_primary", None)
    if primary and context.sqlalchemy_exception is not None:
        original.args = (primary,)
        context.sqlalchemy_exception.args = (f"({type(original).__name__}) {primary}",)


def _before_migrating(connection: Connection) -> None:
    """One migrates, the others wait, however long it takes."""
    connection.execute(text("SET LOCAL lock_timeout = 0"))
    connection.execute(select(func.pg_advisory_xact_lock(_MIGRATION)))
    version = int(connection.execute(text("SHOW server_version_num")).scalar_one())
    if version < OLDEST * 10_000:
        raise SettingsError(
            f"The database that database_url (ALGA_SERVER_DATABASE_URL) names is PostgreSQL"
            f" {version // 10_000}; it must be {OLDEST} or newer."
        )
    encoding = connection.execute(text("SHOW server_encoding")).scalar_one()
    if encoding != "UTF8":
        raise SettingsError(
            f"The database that database_url (ALGA_SERVER_DATABASE_URL) names has the encoding"
            f" {encoding}; it must be UTF8.",
            hint="Make one: createdb --encoding UTF8 --template template0 alga.",
        )


def _trouble(error: DBAPIError) -> type[DatabaseUnavailable] | None:
    state = getattr(error.orig, "sqlstate", None)
    if state in _LOCKED:
        return DatabaseBusy
    if state == _FULL:
        return DatabaseFull
    lost = error.connection_invalidated or (state is None and isinstance(error, OperationalError))
    return DatabaseUnavailable if lost or str(state).startswith(_UNUSABLE) else None


def _explain(error: SQLAlchemyError, url: URL) -> SettingsError:
    original = error.orig if isinstance(error, DBAPIError) else error
    why = " ".join(str(original).split()).rstrip(".")
    if url.password:
        why = why.replace(str(url.password), "***")
    hint = "Check that PostgreSQL runs there, and the user, password, host, port and database of the URL."
    if getattr(original, "sqlstate", None) in _READ_ONLY:
        hint = "It takes no changes: name the primary rather than a standby, and a user that may write."
    return SettingsError(
        f"The database that database_url (ALGA_SERVER_DATABASE_URL) names is not usable: {why}.", hint=hint
    )
