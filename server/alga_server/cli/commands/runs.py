"""``alga-server runs`` and ``run-now``: how schedules went, and firing one by hand."""

from __future__ import annotations

from shlex import quote
from typing import TYPE_CHECKING, Any

import click

from alga_common.cli.commands import say
from alga_common.cli.options import Since, Tenant
from alga_common.text import minute

from ...errors import HINTS
from ..lookups import find_install, find_schedule
from ..options import client, tenant_option
from ..session import Session

if TYPE_CHECKING:
    from alga_common.cli.page import Page

    from ..admin import Admin


_RUNS = """List the runs of schedules, newest first: when, how each ended, how long it took.

They are those of one tenant, or with --all-tenants of every one; --install, --schedule, --status and --since leave some
of them. --since takes a duration before now (90m, 6h, 7d) or an instant (2026-03-29T02:30:00Z, UTC where it has no
offset), and bounds when a run started. Times are UTC. The document of --json has more: the nominal time, which is the
one that the schedule asked for, attempts, request ids, and the end of what an extension whose run failed logged and
answered. --run shows those of one run.

\b
Examples:
  alga-server runs --all-tenants --status error --since 1h
  alga-server runs --tenant acme --install com.example.sync --limit 5
  alga-server runs --tenant acme --schedule 'Hourly sync'
  alga-server runs --tenant acme --run 0f6f1c1e-7c57-4a0e-9c39-2f3d5a1b7e60
  alga-server runs --tenant acme --json | jq '.runs[] | select(.status != "success")'

Exit status: 0 done; 1 failed; 2 for bad usage.
"""

_RUN_NOW = """Fire a schedule now, independently of its cron, and wait for the run to end.

SCHEDULE is the schedule's name or id. Its handler gets the schedule's payload, as always. The rules are those of any
run: a disabled schedule, one of a disabled install, and one that is running already are skipped, and the run shows it.
The next regular run stays where it is.

\b
Examples:
  alga-server run-now 'Hourly sync' --tenant acme
  alga-server run-now 'Hourly sync' --tenant acme --install com.example.sync
  alga-server run-now 'Hourly sync' --tenant acme --no-wait

Exit status: 0 it ran with success, or was started; 1 it ran without success, was skipped or refused; 2 for bad usage.
"""

_install_option = click.option(
    "--install", metavar="INSTALL", help="Only of this install: its extension's name, or its id."
)
_LONGEST_RUN_S = 3600.0
_ENABLING = {"install_disabled": "enable {install}", "schedule_disabled": "schedules enable {schedule}"}
"""The command that ends why a run was skipped."""
_STATUSES = ["running", "success", "error", "skipped", "lost"]


@click.command(help=_RUNS, short_help="List the runs of schedules.")
@click.option("--tenant", metavar="ID", type=Tenant(), help="Of this tenant.")
@click.option("--all-tenants", is_flag=True, help="Of every tenant.")
@_install_option
@click.option("--schedule", metavar="SCHEDULE", help="Only of this schedule: its name or id.")
@click.option("--status", type=click.Choice(_STATUSES), help="Only runs with this status.")
@click.option(
    "--since", metavar="TIME", type=Since(), help="Only runs that started since: a duration or an instant."
)
@click.option(
    "--limit",
    metavar="N",
    type=click.IntRange(1, 200),
    default=20,
    show_default=True,
    help="At most so many, the newest.",
)
@click.option(
    "--run", "run_id", metavar="ID", help="Only this run, with what it logged and answered if it failed."
)
@client
def runs(
    session: Session,
    *,
    tenant: str | None,
    all_tenants: bool,
    install: str | None,
    schedule: str | None,
    status: str | None,
    since: str | None,
    limit: int,
    run_id: str | None,
) -> None:
    """See ``_RUNS``."""
    if all_tenants == (tenant is not None):
        raise click.UsageError("Give one of --tenant and --all-tenants.")
    if tenant is None and (install or schedule or run_id):
        raise click.UsageError("--install, --schedule and --run need --tenant.")

    async def work(admin: Admin) -> list[Any]:
        if tenant is not None and run_id is not None:
            return await with_names(admin, [await admin.get("tenants", tenant, "runs", run_id)])
        return await _found(admin, tenant, install, schedule, status=status, since=since, limit=limit)

    listed = session.ask(work)
    which = " there" if install or schedule or status or since else ""
    empty = f"There are no runs{which}." if tenant is None else f"Tenant {tenant} has no runs{which}."

    def show(page: Page) -> None:
        if run_id is not None:
            _print_run(page, listed[0])
            return
        print_runs(page, listed, empty=empty, tenants=tenant is None)
        if explained := [run for run in listed if run.get("guestLog") or run.get("responseBody")]:
            page.gap()
            page.line("The newest failed run's log and answer:")
            page.line(
                f"  alga-server runs --tenant {quote(explained[0]['tenantId'])} --run {explained[0]['id']}"
            )

    session.answer({"runs": listed}, show)


@click.command("run-now", help=_RUN_NOW, short_help="Fire a schedule now.")
@click.argument("schedule")
@tenant_option
@_install_option
@click.option("--no-wait", is_flag=True, help="Do not wait for it to end.")
@client
def run_now(session: Session, *, schedule: str, tenant: str, install: str | None, no_wait: bool) -> None:
    """See ``_RUN_NOW``."""

    async def work(admin: Admin) -> tuple[Any, Any]:
        place = None if install is None else await find_install(admin, tenant, install)
        target = await find_schedule(admin, tenant, schedule, place)
        path = ("tenants", tenant, "installs", target["installId"], "schedules", target["id"], "run-now")
        wait = {"wait": "false" if no_wait else "true"}
        _, run = await admin.call("POST", *path, query=wait, answer_s=_LONGEST_RUN_S)
        return target, run

    target, run = session.ask(work)
    session.answer(run, lambda page: page.line(f"{target['name'] or target['id']} {_how(run)}."))
    if run["status"] not in {"success", "running"}:
        say("hint", _next_step(run))
        click.get_current_context().exit(1)


def print_runs(page: Page, runs: list[Any], *, empty: str, tenants: bool = False) -> None:
    """Print runs as a table, with their ``tenants``; a schedule without a name is shown by its id."""
    columns = [
        "DUE (UTC)",
        *(["TENANT"] if tenants else []),
        "SCHEDULE",
        "TRIGGER",
        "STATUS",
        "HTTP",
        "TOOK",
        "WHY",
    ]
    rows = [
        [
            minute(run["dueAt"]),
            *([run["tenantId"]] if tenants else []),
            run.get("scheduleName") or run["scheduleId"],
            run["trigger"],
            run["status"],
            None if run["httpStatus"] is None else str(run["httpStatus"]),
            _took(run),
            _why(run),
        ]
        for run in runs
    ]
    page.table(columns, rows, empty=empty)


async def with_names(admin: Admin, runs: list[Any]) -> list[Any]:
    """``runs`` with the names of their schedules and extensions; ``None`` where the schedule is gone."""
    schedules = {
        item["id"]: item
        for tenant in {run["tenantId"]: None for run in runs}
        for item in (await admin.get("tenants", tenant, "schedules"))["schedules"]
    }
    nothing: dict[str, Any] = {}
    return [
        {
            **run,
            "scheduleName": schedules.get(run["scheduleId"], nothing).get("name"),
            "extensionName": schedules.get(run["scheduleId"], nothing).get("extensionName"),
        }
        for run in runs
    ]


def _print_run(page: Page, run: Any) -> None:
    """Print one run, and the ends of what the extension logged and answered if it failed."""
    name = run["scheduleName"]
    page.line(f"Run {run['id']}")
    page.table(
        ["", ""],
        [
            ["schedule", f"{name} ({run['scheduleId']})" if name else run["scheduleId"]],
            ["install", run["installId"]],
            ["due", run["dueAt"]],
            ["attempt", str(run["attempt"])],
            ["request", run["requestId"]],
            ["outcome", _how(run)],
        ],
        indent=2,
    )
    for title, text in (
        ("The end of the extension's log", run["guestLog"]),
        ("The end of the body it answered", run["responseBody"]),
    ):
        if text:
            page.heading(title)
            page.block(text)


async def _found(
    admin: Admin, tenant: str | None, install: str | None, schedule: str | None, **query: Any
) -> list[Any]:
    if tenant is not None:
        query["tenantId"] = tenant
        place = None if install is None else await find_install(admin, tenant, install)
        if place is not None:
            query["installId"] = place["installId"]
        if schedule is not None:
            query["scheduleId"] = (await find_schedule(admin, tenant, schedule, place))["id"]
    listed: list[Any] = (await admin.get("runs", **query))["runs"]
    return listed


def _how(run: Any) -> str:
    if run["status"] == "running":
        return f"is running since {run['startedAt']}"
    why = f": {_why(run)}" if _why(run) else ""
    if run["status"] in {"skipped", "lost"}:
        return f"was {run['status']}{why}"
    took = f" after {_took(run)}" if _took(run) else ""
    http = f" (HTTP {run['httpStatus']})" if run["httpStatus"] is not None else ""
    return f"ended with {run['status']}{http}{took}{why}"


def _next_step(run: Any) -> str:
    """What to do about a run without success."""
    tenant = quote(run["tenantId"])
    if run["reason"] in _ENABLING:
        command = _ENABLING[run["reason"]].format(schedule=run["scheduleId"], install=run["installId"])
        return f"`alga-server {command} --tenant {tenant}` enables it."
    if run["status"] == "skipped":
        return "Fire it again once the run that is under way has ended."
    if run["status"] == "lost":
        return "Its handler may have acted; see that before you fire it again."
    shown = f"`alga-server runs --tenant {tenant} --run {run['id']}` shows what it logged and answered."
    return HINTS.get(run["errorCode"], shown)


def _took(run: Any) -> str | None:
    return None if run["durationMs"] is None else f"{run['durationMs']} ms"


def _why(run: Any) -> str | None:
    reasons = [run["reason"], run["errorCode"], run["errorMessage"]]
    return ": ".join(str(reason) for reason in reasons if reason) or None
