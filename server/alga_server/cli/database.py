"""Work on a database without a server: its schema, a backup, and restoring one."""

from __future__ import annotations

import logging
import sys
from pathlib import Path
from shlex import quote

import click

from alga_common.audit import log_command
from alga_common.cli.failures import print_document
from alga_common.signals.coroutines import run
from alga_common.text import escape_controls, size

from ..errors import BackupRefused
from ..settings import ServerSettings
from ..storage import backup
from ..storage.backup import Copied, Progress
from ..storage.database import Database
from ..storage.migrations import head
from ..storage.postgres import url_without_password
from ..storage.sqlite import is_sqlite, sqlite_file

logger = logging.getLogger("alga_server")


def migrate(database_url: str | None, *, check: bool, as_json: bool) -> bool:
    """Migrate the database, or only ``check`` it, and print its revision; return whether it is this version's."""
    before, newest = run(_carry_out, _named(database_url), check), head()
    if not check and before != newest:
        log_command(logger, "migrate", from_revision=before, to_revision=newest)
    current = before == newest or not check
    if as_json:
        print_document({"from": before, "to": newest, "current": current})
    elif before == newest:
        click.echo(f"The database is at revision {newest}, which is this version's.")
    elif check:
        click.echo(f"The database is {_at(before)}; this version's revision is {newest}.")
    else:
        click.echo(f"The database was {_at(before)}, and is at revision {newest} now.")
    return current


def back_up(database_url: str | None, file: Path, *, force: bool, as_json: bool) -> None:
    """Back the database up to ``file``, and print what was. Raises ``BackupRefused``."""
    database = _file(_named(database_url), "pg_dump --format=custom --no-owner --file={file} {url}", file)
    copied = backup.back_up(database, file, force=force, progress=_progress())
    log_command(logger, "backup", to_revision=copied.revision)
    _report("Backed up {database} to {file}", database, file, copied, as_json=as_json)


def restore(database_url: str | None, file: Path, *, force: bool, as_json: bool) -> None:
    """Restore the database from ``file``, and print what was. Raises ``BackupRefused``."""
    command = "pg_restore --clean --if-exists --no-owner --single-transaction --dbname={url} {file}"
    database = _file(_named(database_url), command, file)
    copied = backup.restore(file, database, force=force, progress=_progress())
    log_command(logger, "restore", to_revision=copied.revision)
    _report("Restored {database} from {file}", database, file, copied, as_json=as_json)


def _named(database_url: str | None) -> str:
    """Return the URL of the database that an option or the environment names. Raises ``UsageError``."""
    settings = ServerSettings.load(**({} if database_url is None else {"database_url": database_url}))
    if "database_url" not in settings.model_fields_set:
        raise click.UsageError("Name the database, such as --database alga.db.")
    return settings.database_url


def _file(url: str, command: str, file: Path) -> Path:
    """Return SQLite's file. Raises ``BackupRefused`` for another database, with PostgreSQL's ``command``."""
    if is_sqlite(url):
        if (database := sqlite_file(url)) is not None:
            return database
        raise BackupRefused(
            "database_missing",
            "A database in memory ends with its server.",
            hint="Name a file, such as --database alga.db.",
        )
    shown = command.format(url=quote(url_without_password(url)), file=quote(str(file)))
    raise BackupRefused(
        "use_postgresql_tools",
        "This command is for SQLite; PostgreSQL has its own programs for that.",
        hint=f"{shown} (the password is read from PGPASSWORD or ~/.pgpass).",
    )


def _progress() -> Progress:
    """Return what shows progress on a terminal."""
    if sys.stderr is None or not sys.stderr.isatty():
        return lambda _done, _pages: None

    def show(done: int, pages: int) -> None:
        percent = 100 if done >= pages else done * 100 // pages
        click.echo(f"\r{percent} %", nl=percent == 100, err=True)

    return show


def _report(sentence: str, database: Path, file: Path, copied: Copied, *, as_json: bool) -> None:
    if as_json:
        document = {"database": str(database), "file": str(file), "revision": copied.revision}
        print_document({**document, "bytes": copied.size})
        return
    done = escape_controls(sentence.format(database=database, file=file))
    click.echo(f"{done}: {size(copied.size)}, revision {copied.revision}, verified.")


async def _carry_out(database_url: str, check: bool) -> str | None:
    database = Database(database_url)
    try:
        before = await database.revision()
        if not check:
            await database.start()
    finally:
        await database.aclose()
    return before


def _at(revision: str | None) -> str:
    return "empty" if revision is None else f"at revision {revision}"
