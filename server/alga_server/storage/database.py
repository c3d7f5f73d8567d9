"""The storage: one function, one transaction, in a worker thread.

Statements are SQLAlchemy Core and portable. What differs between databases is in ``sqlite`` and ``postgres``.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Mapping
from contextlib import nullcontext, suppress
from functools import partial
from threading import Lock
from typing import TypeVar

from anyio import CancelScope, CapacityLimiter, current_time, to_thread
from sqlalchemy import Connection, Engine, make_url
from sqlalchemy.exc import ArgumentError, DatabaseError, DBAPIError

from alga_runner.errors import SettingsError

from ..errors import DatabaseBusy, DatabaseUnavailable
from . import migrations
from .backend import Backend
from .postgres import open_postgres
from .sqlite import is_sqlite, open_sqlite
from .together import Together

T = TypeVar("T")

logger = logging.getLogger("alga_server")

_TURN_S = 30.0
"""How long a transaction waits for its turn in this process."""

_LOOK_AGAIN_S = 0.005
"""How often a caller whose task was cancelled looks whether its transaction has ended."""

_TRIES = 5
"""How often a transaction is run that the database aborts for a deadlock or a conflict."""


class Database:
    """A database and its worker threads.

    ``read`` and ``write`` run a function over a connection inside one transaction: committed when the function
    returns, rolled back when it raises. A read sees one state of the database. What a write has locked (``locks``)
    stays true until it commits; the function may be run again after a deadlock or a conflict, so it
    touches nothing but the connection. Both raise ``DatabaseBusy`` when others hold locks for long, and
    ``DatabaseUnavailable``; a line in the log begins an outage, another ends it. Cancelling the caller waits for the
    transaction to end. Tables are created by ``start``, or by the first transaction. Raises ``SettingsError`` for a URL
    it cannot use.
    ``session`` are settings of PostgreSQL's sessions.
    """

    def __init__(self, url: str, *, threads: int = 8, session: Mapping[str, str] | None = None) -> None:
        self._backend = _open(url, threads, session or {})
        self._write_turn = CapacityLimiter(self._backend.writers)
        # A database in memory is one connection: its readers wait for its writer.
        self._read_turn = (
            self._write_turn if self._backend.one_connection else CapacityLimiter(self._backend.readers)
        )
        self._together: Together | None = None
        if self._backend.savepoint is not None:
            self._together = Together(self._write_now, self._work_in_turn, self._backend.savepoint)
        self._exclusive = Lock()
        self._outages: dict[str, bool] = {}
        """By code, and whether a write met it."""
        self._noting = Lock()
        self._tables_made = False

    @property
    def reads_together(self) -> int:
        """How many small reads (``small_reads``) share a transaction, at most."""
        return self._backend.reads_together

    async def start(self) -> None:
        """Create what tables are missing. Raises ``SettingsError`` if the database cannot be opened."""
        await to_thread.run_sync(self._make_tables, limiter=self._write_turn)

    async def read(self, fn: Callable[[Connection], T]) -> T:
        """What ``fn`` returns, from one transaction that changes nothing."""
        return await self._in_turn(self._read_turn, self._backend.reader, fn)

    async def write(self, fn: Callable[[Connection], T]) -> T:
        """What ``fn`` returns, from one transaction."""
        return await self._in_turn(self._write_turn, self._backend.writer, fn)

    async def write_together(self, fn: Callable[[Connection], T]) -> T:
        """As ``write``, for short work: in one transaction with others that wait, where one writes at a time."""
        return await (self.write(fn) if self._together is None else self._together.write(fn))

    async def revision(self) -> str | None:
        """The schema's revision, without changing it; ``None`` for an empty database. Raises ``SettingsError``."""
        return await to_thread.run_sync(self._revision, limiter=self._read_turn)

    async def try_write(self) -> None:
        """Read and write the database, and change nothing. It must have tables. Raises ``DatabaseError``."""
        await to_thread.run_sync(self._try_write, limiter=self._write_turn)

    async def aclose(self) -> None:
        """Close every connection. A database in memory ends here, and would start again empty."""
        await to_thread.run_sync(self._dispose, limiter=self._write_turn)

    async def _in_turn(self, turn: CapacityLimiter, engine: Engine, fn: Callable[[Connection], T]) -> T:
        return await self._work(turn, engine, partial(self._run, engine, fn), current_time())

    async def _work_in_turn(self, work: Callable[[], T], since: float) -> T:
        return await self._work(self._write_turn, self._backend.writer, work, since)

    async def _work(self, turn: CapacityLimiter, engine: Engine, work: Callable[[], T], since: float) -> T:
        with CancelScope(
            deadline=since + _TURN_S
        ):  # ends the wait for the turn; work that began is not cancelled
            return await _to_its_end(work, turn)
        writes = engine is self._backend.writer
        self._note_outage(DatabaseBusy, "other transactions of this server take too long", writes=writes)
        raise DatabaseBusy

    def _write_now(self, fn: Callable[[Connection], T]) -> T:
        return self._run(self._backend.writer, fn)

    def _run(self, engine: Engine, fn: Callable[[Connection], T]) -> T:
        writes = engine is self._backend.writer
        try:
            result = self._transact(engine, fn)
        except DBAPIError as error:
            outage, cause = self._trouble(error)
            if outage is None:
                raise
            self._note_outage(outage, str(self._backend.explain(cause)), writes=writes)
            raise outage from None
        if self._outages:
            self._note_success(wrote=writes)
        return result

    def _trouble(self, error: DBAPIError) -> tuple[type[DatabaseUnavailable] | None, DBAPIError]:
        """Which outage an error is, or one before it: a full database ends the transaction, and with it savepoints."""
        before: BaseException | None = error
        while before is not None:
            if isinstance(before, DBAPIError) and (outage := self._backend.trouble(before)) is not None:
                return outage, before
            before = before.__context__
        return None, error

    def _note_outage(self, outage: type[DatabaseUnavailable], why: str, *, writes: bool) -> None:
        with self._noting:
            began = outage.code not in self._outages
            self._outages[outage.code] = writes or self._outages.get(outage.code, False)
        if began:
            logger.error("Database not usable: %s", why, extra={"action": outage.code})

    def _note_success(self, *, wrote: bool) -> None:
        """End the outages that a transaction disproves: one that only reads needs neither a lock nor room."""
        with self._noting:
            ended = [code for code, by_write in self._outages.items() if wrote or not by_write]
            for code in ended:
                del self._outages[code]
        if ended:
            logger.warning("Database usable again", extra={"action": "database_recovered"})

    def _transact(self, engine: Engine, fn: Callable[[Connection], T]) -> T:
        if not self._tables_made:
            self._make_tables()
        if not self._backend.one_connection:
            return self._run_until_done(engine, fn)
        # The limiter's turns are per event loop; the one connection has one user in any loop.
        with self._exclusive, engine.begin() as connection:
            return fn(connection)

    def _run_until_done(self, engine: Engine, fn: Callable[[Connection], T]) -> T:
        for rest in reversed(range(_TRIES)):
            try:
                with engine.begin() as connection:
                    return fn(connection)
            except DBAPIError as error:
                if not (rest and self._backend.will_pass(error)):
                    raise
                logger.info(
                    "Retrying transaction after a deadlock or a conflict: %s",
                    type(error.orig).__name__,
                    extra={"action": "transaction_repeated"},
                )
        raise AssertionError("the last try returns or raises")

    def _make_tables(self) -> None:
        with self._exclusive:
            if self._tables_made:
                return
            try:
                with self._backend.writer.begin() as connection:
                    self._backend.before_migrating(connection)
                    before, now = migrations.upgrade(connection)
            except migrations.SchemaTooNew as newer:
                raise SettingsError(
                    f"The database was migrated by a newer server, to revision {newer};"
                    f" this one knows {migrations.head()}.",
                    hint="Start the newer server, or give this one another database_url.",
                ) from None
            except migrations.SchemaForeign as foreign:
                raise _foreign(foreign) from None
            except DatabaseError as error:
                raise self._backend.explain(error) from None
            for sentence in self._backend.warnings():
                logger.warning(sentence, extra={"action": "open_to_everyone"})
            if before not in {None, now}:
                logger.info(
                    "The database was migrated from revision %s to %s",
                    before,
                    now,
                    extra={"action": "database_migrated", "from_revision": before, "to_revision": now},
                )
            self._tables_made = True

    def _revision(self) -> str | None:
        if not self._backend.is_there():
            return None
        try:
            with self._backend.reader.begin() as connection:
                return migrations.revision_of(connection)
        except migrations.SchemaForeign as foreign:
            raise _foreign(foreign) from None
        except DatabaseError as error:
            raise self._backend.explain(error) from None

    def _try_write(self) -> None:
        alone = self._exclusive if self._backend.one_connection else nullcontext()
        with alone, self._backend.writer.begin() as connection:
            migrations.rewrite_revision(connection)

    def _dispose(self) -> None:
        with self._exclusive:
            self._backend.writer.dispose()
            self._tables_made = False


async def _to_its_end(work: Callable[[], T], turn: CapacityLimiter) -> T:
    """Run in a thread. Once it began, wait for its end.

    A task that is cancelled by itself, as ``asyncio.wait_for`` and uvicorn do, does not heed the scope of ``run_sync``.
    """
    begun, under_way = Lock(), Lock()
    under_way.acquire()

    def run() -> T:
        if not begun.acquire(blocking=False):
            raise asyncio.CancelledError  # its caller has left
        try:
            return work()
        finally:
            under_way.release()

    try:
        return await to_thread.run_sync(run, limiter=turn)
    finally:
        if under_way.locked() and not begun.acquire(blocking=False):
            with CancelScope(shield=True):
                while under_way.locked():  # seldom: to be woken would cost each transaction more
                    with suppress(asyncio.CancelledError):
                        await asyncio.sleep(_LOOK_AGAIN_S)


def _open(url: str, threads: int, session: Mapping[str, str]) -> Backend:
    if is_sqlite(url):
        return open_sqlite(url, threads=threads)
    try:
        parsed = make_url(url)
    except (ArgumentError, ValueError):  # its text may quote the URL, and with it a password
        raise SettingsError(
            "The setting database_url (ALGA_SERVER_DATABASE_URL) is not a database URL."
        ) from None
    if parsed.drivername in {"postgresql", "postgresql+psycopg"}:
        return open_postgres(parsed, threads=threads, session=session)
    raise SettingsError(
        f"The setting database_url (ALGA_SERVER_DATABASE_URL) names {parsed.drivername}, which is not supported.",
        hint="Use sqlite:// or sqlite:///path/to/file.db, or postgresql://user:password@host/database.",
    )


def _foreign(table: Exception) -> SettingsError:
    return SettingsError(
        f"The database that database_url (ALGA_SERVER_DATABASE_URL) names has a table {table}"
        " that this server did not make.",
        hint="Give the server a database of its own.",
    )
