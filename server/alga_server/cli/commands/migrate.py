"""``alga-server migrate``: the database's schema, without a server."""

from __future__ import annotations

import click

from alga_common.cli.commands import load
from alga_common.cli.options import json_option

from ..options import DatabaseUrl

_HELP = """Bring the database's schema up to this version, or see whether it is.

A server does the same when it starts. Run this earlier to see that it works, or because the server's own user may not
change tables. Several commands and servers may run concurrently: one of them does the work. Existing data stays.

\b
Examples:
  alga-server migrate --database alga.db
  alga-server migrate --check      with ALGA_SERVER_DATABASE_URL set

Exit status: 0 done, or nothing to do; 1 failed, or with --check when there is something to do; 2 bad usage.
"""


@click.command(help=_HELP, short_help="Bring the database's schema up to date.")
@click.option(
    "--database",
    metavar="FILE",
    type=DatabaseUrl(),
    help="The database: a file, made if need be, or an SQLAlchemy URL.  [env: ALGA_SERVER_DATABASE_URL]",
)
@click.option(
    "--check", is_flag=True, help="Change nothing; exit status 1 means that there is something to do."
)
@json_option
@click.pass_context
def migrate(ctx: click.Context, *, database: str | None, check: bool, as_json: bool) -> None:
    """See ``_HELP``."""
    current = load("alga_server.cli.database:migrate")(database, check=check, as_json=as_json)
    ctx.exit(0 if current else 1)
