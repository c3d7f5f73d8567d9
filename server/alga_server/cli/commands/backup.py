"""``alga-server backup`` and ``restore``: the database, without a server."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click

from alga_common.cli.commands import load
from alga_common.cli.options import json_option

from ..options import DatabaseUrl

_BACKUP = """Write a verified copy of an SQLite database to FILE, also while a server uses it.

The copy is one state of the database, made by SQLite's online backup. It is checked page by page before FILE appears,
and readable by its owner only. It holds secrets: keep it as the database. For PostgreSQL the command to use is shown.

\b
Examples:
  alga-server backup alga.backup --database alga.db
  alga-server backup /backups/alga-$(date +%F).db     with ALGA_SERVER_DATABASE_URL set

Exit status: 0 done; 1 failed, and there is no new FILE; 2 bad usage.
"""

_RESTORE = """Make an SQLite database what it was when FILE was written by alga-server backup.

FILE is verified first. Stop the servers before: a database that one has open is refused. Occurrences that are
due when a server starts again are fired by each schedule's misfire policy: docs/backup.md.

\b
Examples:
  alga-server restore alga.backup --database alga.db
  alga-server restore alga.backup --database alga.db --force    replace the database that is there

Exit status: 0 done; 1 failed, and the database is as it was; 2 bad usage.
"""


def _database_option(command: Any) -> Any:
    option = click.option(
        "--database",
        metavar="FILE",
        type=DatabaseUrl(),
        help="The database: a file, or a URL.  [env: ALGA_SERVER_DATABASE_URL]",
    )
    return option(command)


_file = click.argument("file", metavar="FILE", type=click.Path(path_type=Path))


@click.command(help=_BACKUP, short_help="Copy the database, also while a server uses it.")
@_file
@_database_option
@click.option("--force", is_flag=True, help="Replace a FILE that exists.")
@json_option
def backup(*, file: Path, database: str | None, force: bool, as_json: bool) -> None:
    """See ``_BACKUP``."""
    load("alga_server.cli.database:back_up")(database, file, force=force, as_json=as_json)


@click.command(help=_RESTORE, short_help="Make the database what a backup is.")
@_file
@_database_option
@click.option("--force", is_flag=True, help="Replace a database that exists.")
@json_option
def restore(*, file: Path, database: str | None, force: bool, as_json: bool) -> None:
    """See ``_RESTORE``."""
    load("alga_server.cli.database:restore")(database, file, force=force, as_json=as_json)
