"""``alga-server clock``: the time of a development server."""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Any

import click

from alga_common.cli.commands import say
from alga_common.cli.failures import Failure
from alga_common.cli.options import Duration, Instant

from ..options import client
from ..session import Session
from .runs import print_runs, with_names

if TYPE_CHECKING:
    from alga_common.cli.page import Page

    from ..admin import Admin


_HELP = """Show the clock of a development server, or put it forward; schedules that become due fire, in order.

Only a server that was started with --dev lets its clock be moved, and only from its own machine. The command waits for
the runs that fire meanwhile to end. A clock does not go back.

\b
Examples:
  alga-server clock
  alga-server clock --advance 6h
  alga-server clock --advance 1d12h30m
  alga-server clock --to 2026-03-29T02:30:00+01:00

Exit status: 0 done, however the runs ended; 1 failed; 2 for bad usage.
"""

_MOVE_S = 3600.0


@click.command(help=_HELP, short_help="Show or put forward a development server's clock.")
@click.option(
    "--advance", metavar="DURATION", type=Duration(), help="Put it forward by this, such as 6h or 1d12h."
)
@click.option(
    "--to", metavar="TIME", type=Instant(), help="Put it forward to this instant; UTC if it has no offset."
)
@client
def clock(session: Session, *, advance: timedelta | None, to: datetime | None) -> None:
    """See ``_HELP``."""
    if advance is not None and to is not None:
        raise click.UsageError("Give one of --advance and --to.")

    async def work(admin: Admin) -> Any:
        try:
            if advance is None and to is None:
                return await admin.get("clock")
            step = None if advance is None else {"seconds": advance.total_seconds()}
            move = {"advance": step} if to is None else {"to": to.isoformat()}
            _, moved = await admin.call("POST", "clock", json=move, answer_s=_MOVE_S)
        except Failure as failure:
            if failure.code != "no_such_route":
                raise
            raise Failure(
                "clock_fixed",
                "The server's clock is the machine's own.",
                hint="Start the server with `alga-server serve --dev` to put its clock forward.",
            ) from None
        return (
            moved if not moved.get("fired") else {**moved, "fired": await with_names(admin, moved["fired"])}
        )

    shown = session.ask(work)

    def report(page: Page) -> None:
        page.line(f"It is {shown['now']}.")
        if shown.get("fired"):
            page.line()
            print_runs(page, shown["fired"], empty="")

    session.answer(shown, report)
    if not shown.get("arrived", True):
        say(
            "hint",
            "So many runs fired that the clock stopped before its target; repeat the command to continue.",
        )
