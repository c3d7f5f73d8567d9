"""``alga-server clock``: the time of a development server."""

from __future__ import annotations

import re
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

import click

from alga_common.cli.commands import say
from alga_common.cli.failures import Failure

from ..options import client
from ..session import Session
from .runs import print_runs

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

_UNITS = {"d": "days", "h": "hours", "m": "minutes", "s": "seconds"}
_STEP = re.compile(r"(?:\d+[dhms])+")
_MOVE_S = 3600.0


class Step(click.ParamType[dict[str, int]]):
    """A duration such as ``6h`` or ``1d12h``."""

    name = "duration"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> dict[str, int]:
        """Return the count of each unit."""
        text = str(value).strip().lower()
        parts = re.findall(r"(\d+)([dhms])", text)
        units = [unit for _, unit in parts]
        if not _STEP.fullmatch(text) or not text.isascii() or len(set(units)) != len(units) or len(text) > 32:
            self.fail(f"{value!r} is not a duration such as 6h, 30m or 1d12h.", param, ctx)
        return {_UNITS[unit]: int(count) for count, unit in parts}


class Instant(click.ParamType[datetime]):
    """An instant; UTC where it names no zone."""

    name = "instant"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> datetime:
        """Return an aware instant."""
        try:
            instant = datetime.fromisoformat(str(value))
        except ValueError:
            self.fail(f"{value!r} is not an instant such as 2026-03-29T02:30:00Z.", param, ctx)
        return instant if instant.tzinfo else instant.replace(tzinfo=UTC)


@click.command(help=_HELP, short_help="Show or put forward a development server's clock.")
@click.option(
    "--advance", metavar="DURATION", type=Step(), help="Put it forward by this, such as 6h or 1d12h."
)
@click.option(
    "--to", metavar="TIME", type=Instant(), help="Put it forward to this instant; UTC if it has no offset."
)
@client
def clock(session: Session, *, advance: dict[str, int] | None, to: datetime | None) -> None:
    """See ``_HELP``."""
    if advance is not None and to is not None:
        raise click.UsageError("Give one of --advance and --to.")

    async def work(admin: Admin) -> Any:
        try:
            if advance is None and to is None:
                return await admin.get("clock")
            move = {"advance": advance} if to is None else {"to": to.isoformat()}
            _, moved = await admin.call("POST", "clock", json=move, answer_s=_MOVE_S)
        except Failure as failure:
            if failure.code != "no_such_route":
                raise
            raise Failure(
                "clock_fixed",
                "The server's clock is the machine's own.",
                hint="Start the server with `alga-server serve --dev` to put its clock forward.",
            ) from None
        return moved

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
