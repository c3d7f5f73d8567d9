"""``alga-server migrate``: the database's schema, without a server."""

from __future__ import annotations

import click

from ..options import database_url, json_option

_HELP = """Bring the database's schema up to this version, or see whether it is.

A server does the same as it starts, so this is for who wants it done before: to see that it works, or because the
server's own user may not change tables. Several may run at once, and beside servers: one does the work. What is there
stays there.

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
    help="The database: a file, made if need be, or an SQLAlchemy URL.  [env: ALGA_SERVER_DATABASE_URL]",
)
@click.option(
    "--check", is_flag=True, help="Change nothing; the exit status says whether there is something to do."
)
@json_option
@click.pass_context
def migrate(ctx: click.Context, *, database: str | None, check: bool, as_json: bool) -> None:
    """See ``_HELP``."""
    import anyio  # noqa: PLC0415 - not needed for help

    from ...settings import ServerSettings  # noqa: PLC0415
    from ...storage.database import Database  # noqa: PLC0415
    from ...storage.migrations import head  # noqa: PLC0415
    from ..page import Page  # noqa: PLC0415

    settings = ServerSettings.load(**({} if database is None else {"database_url": database_url(database)}))
    if "database_url" not in settings.model_fields_set:
        raise click.UsageError("Name the database, such as --database alga.db.")

    async def carry_out() -> str | None:
        opened = Database(settings.database_url)
        try:
            before = await opened.revision()
            if not check:
                await opened.start()
        finally:
            await opened.aclose()
        return before

    before, wanted = anyio.run(carry_out), head()
    page = Page()
    if as_json:
        page.document({"from": before, "to": wanted, "current": before == wanted or not check})
    elif before == wanted:
        page.line(f"The database is at revision {wanted}, which is this version's.")
    elif check:
        page.line(f"The database is {_at(before)}; this version's revision is {wanted}.")
    else:
        page.line(f"The database was {_at(before)}, and is at revision {wanted} now.")
    ctx.exit(1 if check and before != wanted else 0)


def _at(revision: str | None) -> str:
    return "empty" if revision is None else f"at revision {revision}"
