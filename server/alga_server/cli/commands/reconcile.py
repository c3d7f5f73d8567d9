"""``alga-server reconcile``: repair schedules that would not fire as they should."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import click

from alga_common.text import counted

from ..options import client
from ..session import Session

if TYPE_CHECKING:
    from alga_common.cli.page import Page

    from ..admin import Admin


_HELP = """Repair schedules that would not fire, or would though they must not, and list what was wrong.

A server does so when it starts and every few minutes (reconcile_seconds); this does it now, for instance after a part
of a backup was restored. With --check nothing is changed. docs/scheduling.md lists what can be wrong.

\b
Examples:
  alga-server reconcile --check
  alga-server reconcile
  alga-server reconcile --check --json | jq -r '.discrepancies[].scheduleId'

Exit status: 0 when nothing is wrong any more; 1 when something is, or it failed; 2 for bad usage.
"""

_ANSWER_S = 600.0


@click.command(help=_HELP, short_help="Repair schedules that would not fire as they should.")
@click.option("--check", is_flag=True, help="List what is wrong and change nothing.")
@client
def reconcile(session: Session, *, check: bool) -> None:
    """See ``_HELP``."""

    async def work(admin: Admin) -> Any:
        _, document = await admin.call("GET" if check else "POST", "reconciliation", answer_s=_ANSWER_S)
        return document

    answer = session.ask(work)
    discrepancies = answer["discrepancies"]

    def report(page: Page) -> None:
        columns = ["TENANT", "INSTALL", "SCHEDULE", "WRONG", "NOW"]
        rows = [
            [
                discrepancy["tenantId"],
                discrepancy["installId"],
                discrepancy["scheduleId"],
                discrepancy["discrepancy"].replace("_", " "),
                "repaired" if discrepancy["repaired"] else "as it was",
            ]
            for discrepancy in discrepancies
        ]
        page.table(columns, rows, empty=f"{counted(answer['examined'], 'schedule')}, nothing wrong.")

    session.answer(answer, report)
    if any(not discrepancy["repaired"] for discrepancy in discrepancies):
        click.get_current_context().exit(1)
