"""Bringing a database's schema up to date without a server."""

from __future__ import annotations

import logging

import anyio
import click

from alga_common.audit import log_command
from alga_common.cli.failures import print_document

from ..settings import ServerSettings
from ..storage.database import Database
from ..storage.migrations import head

logger = logging.getLogger("alga_server")


def migrate(database_url: str | None, *, check: bool, as_json: bool) -> bool:
    """Migrate the database, or only ``check`` it, and print its revision; return whether it is this version's."""
    settings = ServerSettings.load(**({} if database_url is None else {"database_url": database_url}))
    if "database_url" not in settings.model_fields_set:
        raise click.UsageError("Name the database, such as --database alga.db.")
    before, newest = anyio.run(_carry_out, settings.database_url, check), head()
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
