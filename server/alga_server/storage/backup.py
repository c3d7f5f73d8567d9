"""Backs up an SQLite database that servers use, and restores one that none uses.

A copy is made by SQLite's online backup in one read transaction, so that it is one state of the database, no matter how
much is written meanwhile. Nothing counts as a backup, or is restored, that was not read whole and found sound.
"""

from __future__ import annotations

import os
import secrets
import sqlite3
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass
from pathlib import Path

from alga_common.private_files import create_private

from ..errors import BackupRefused
from . import migrations
from .sqlite import FILES

Progress = Callable[[int, int], None]
"""Is called with how many pages are copied, of how many."""

_PAGES = 1_000
_BUSY_TIMEOUT_S = 10.0


@dataclass(frozen=True, slots=True)
class Copied:
    """A copy that was verified: its schema's revision and its size."""

    revision: str
    size: int


def back_up(database: Path, file: Path, *, force: bool, progress: Progress) -> Copied:
    """Write a verified copy of ``database``, which may be in use, to ``file``: whole, or not at all.

    Raises ``BackupRefused``, also for a ``file`` that exists unless ``force`` is given.
    """
    if not database.is_file():
        raise BackupRefused(
            "database_missing",
            f"There is no database {database}.",
            hint="Name the server's with --database or ALGA_SERVER_DATABASE_URL.",
        )
    _check_target(file, database, force=force, what="file")
    draft = file.with_name(f".{file.name}.{secrets.token_hex(8)}.partial")
    with _refusing(file):
        try:
            create_private(draft)
            with closing(_open(database, "rw")) as source, closing(_open(draft, "rw")) as copy:
                _copy(source, copy, progress)
                copy.execute(
                    "PRAGMA journal_mode = DELETE"
                )  # one file, that can be read where nothing can be written
                revision = _verified(copy, database)
            _sync(draft)
            draft.replace(file)
            _sync(file.parent)
        finally:
            for suffix in (*FILES, "-journal"):
                draft.with_name(draft.name + suffix).unlink(missing_ok=True)
    return Copied(revision, file.stat().st_size)


def restore(file: Path, database: Path, *, force: bool, progress: Progress) -> Copied:
    """Make ``database`` what the backup ``file`` is, once that was verified; in place, as one transaction.

    Raises ``BackupRefused``, also for a ``database`` that a server has open, or that exists unless ``force`` is given.
    """
    if not file.is_file():
        raise BackupRefused(
            "backup_missing", f"There is no backup {file}.", hint="Name a file that alga-server backup wrote."
        )
    _check_target(database, file, force=force, what="database")
    with _refusing(file), closing(_open(file, "ro")) as source:
        _verified(source, file)
        with _refusing(database):
            created = create_private(database)
            try:
                with closing(_open(database, "rw", timeout_s=0)) as copy:
                    _take(copy, database)
                    _copy(source, copy, progress)
                    revision = _verified(copy, database)
            except BaseException:
                if created:
                    database.unlink(missing_ok=True)
                raise
    return Copied(revision, database.stat().st_size)


def _check_target(target: Path, source: Path, *, force: bool, what: str) -> None:
    if not target.exists():
        return
    if target.samefile(source):
        raise BackupRefused(
            "same_file", f"{target} is both the database and the backup.", hint="Name two files."
        )
    if not target.is_file():
        raise BackupRefused("file_exists", f"{target} is not a file.", hint="Name a file.")
    if not force:
        raise BackupRefused(
            "file_exists",
            f"There is a {what} {target} already.",
            hint="Name another, or replace it with --force.",
        )


def _open(file: Path, mode: str, *, timeout_s: float = _BUSY_TIMEOUT_S) -> sqlite3.Connection:
    # ``mode`` keeps SQLite from creating a file that is not there.
    uri = f"{file.absolute().as_uri()}?mode={mode}"
    return sqlite3.connect(uri, uri=True, timeout=timeout_s, isolation_level=None)


def _copy(source: sqlite3.Connection, copy: sqlite3.Connection, progress: Progress) -> None:
    # In a transaction of its own the copy would begin again with each write of a server.
    source.execute("BEGIN")
    source.execute("SELECT count(*) FROM sqlite_schema").fetchone()
    source.backup(copy, pages=_PAGES, progress=lambda _, left, pages: progress(pages - left, pages))
    source.execute("COMMIT")


def _take(database: sqlite3.Connection, file: Path) -> None:
    """Take the only connection to a database, until it is closed. A server has its own open as long as it runs."""
    try:
        database.execute("PRAGMA locking_mode = EXCLUSIVE")
        database.execute("PRAGMA journal_mode = DELETE").fetchone()
        database.execute("BEGIN EXCLUSIVE")
        database.execute("COMMIT")
    except sqlite3.OperationalError as error:
        if getattr(error, "sqlite_errorcode", 0) & 0xFF not in {sqlite3.SQLITE_BUSY, sqlite3.SQLITE_LOCKED}:
            raise
        raise BackupRefused(
            "database_in_use",
            f"A server or another program has the database {file} open.",
            hint="Stop it, restore, and start it again.",
        ) from None


def _verified(connection: sqlite3.Connection, file: Path) -> str:
    """Return the schema's revision. Raises ``BackupRefused`` unless this version can use every page and row."""
    tables = {name for (name,) in connection.execute("SELECT name FROM sqlite_schema WHERE type = 'table'")}
    if "alembic_version" not in tables:
        raise BackupRefused(
            "not_a_database",
            f"{file} is no database of an Alga server: it has {'other' if tables else 'no'} tables.",
            hint="A copied file lacks what SQLite has in its -wal; make one with alga-server backup.",
        )
    [fault] = connection.execute("PRAGMA integrity_check(1)").fetchone()
    if fault != "ok" or connection.execute("PRAGMA foreign_key_check").fetchone() is not None:
        raise _damaged(file, fault if fault != "ok" else "rows refer to others that are missing")
    [revision] = connection.execute("SELECT version_num FROM alembic_version").fetchone() or [""]
    if revision not in migrations.revisions():
        raise BackupRefused(
            "revision_unknown",
            f"{file} has the schema's revision {revision!r}; this version knows up to {migrations.head()}.",
            hint="Use the alga-server that made it, or a newer one.",
        )
    return str(revision)


def _damaged(file: Path, why: object) -> BackupRefused:
    return BackupRefused(
        "database_damaged", f"{file} is damaged or no database: {why}.", hint="Use an older backup."
    )


_UNUSABLE_HINT = "Name a file in a folder that exists and that this user can write."


@contextmanager
def _refusing(file: Path) -> Iterator[None]:
    """Raise ``BackupRefused`` for what SQLite and the system raise about ``file``."""
    try:
        yield
    except sqlite3.DatabaseError as error:
        if getattr(error, "sqlite_errorcode", 0) & 0xFF in {sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_NOTADB}:
            raise _damaged(file, error) from None
        raise BackupRefused(
            "file_unusable", f"{file} cannot be used: {error}.", hint=_UNUSABLE_HINT
        ) from None
    except OSError as error:
        raise BackupRefused(
            "file_unusable",
            f"{file} cannot be used: {error.strerror}.",
            hint=_UNUSABLE_HINT,
        ) from None


def _sync(path: Path) -> None:
    """Make a file's content, or a folder's entries, outlive a power cut."""
    descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
