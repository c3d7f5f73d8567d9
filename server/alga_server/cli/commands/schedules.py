"""``alga-server schedules``: the schedules of a tenant, when they fire, and changes to one."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import click

from alga_common.cli.options import BodyText, CommandT, Tenant
from alga_common.text import minute

from ..lookups import find_install, find_schedule
from ..options import client, tenant_option
from ..session import Session

if TYPE_CHECKING:
    from alga_common.cli.page import Page

    from ..admin import Admin

_SCHEDULES = """List a tenant's schedules, when each fires next and how its last run went; or change one.

Without a command it lists: of every install of the tenant, or of --install. A schedule is named by its name or its id.

\b
Examples:
  alga-server schedules --tenant acme
  alga-server schedules list --tenant acme --json | jq -r '.schedules[] | [.name, .nextRunAt] | @tsv'
  alga-server schedules disable 'Hourly sync' --tenant acme
  alga-server schedules edit 'Hourly sync' --tenant acme --cron '0 */6 * * *' --timezone Europe/Berlin

Exit status: 0 done; 1 failed; 2 for bad usage.
"""

_LIST = """List a tenant's schedules: when each fires next, and how its last run went.

\b
Examples:
  alga-server schedules list --tenant acme
  alga-server schedules list --tenant acme --install com.example.sync

Exit status: 0 done; 1 failed; 2 for bad usage.
"""

_ENABLE = """Let a disabled schedule fire again, from its next time on.

\b
Examples:
  alga-server schedules enable 'Hourly sync' --tenant acme

Exit status: 0 enabled; 1 refused; 2 for bad usage.
"""

_DISABLE = """Keep a schedule from firing until it is enabled. Nothing of it is lost.

\b
Examples:
  alga-server schedules disable 'Hourly sync' --tenant acme --install com.example.sync

Exit status: 0 disabled; 1 refused; 2 for bad usage.
"""

_DELETE = """Delete a schedule. The history of its runs stays.

\b
Examples:
  alga-server schedules delete 'Hourly sync' --tenant acme

Exit status: 0 deleted; 1 refused; 2 for bad usage.
"""

_EDIT = """Change a schedule. What no option names stays as it is.

--payload is JSON, or @FILE with it; null clears the payload. An empty --name clears the name.

\b
Examples:
  alga-server schedules edit 'Hourly sync' --tenant acme --cron '30 * * * *'
  alga-server schedules edit 'Hourly sync' --tenant acme --payload '{"full": true}' --max-attempts 3

Exit status: 0 changed; 1 refused; 2 for bad usage.
"""

_install_option = click.option(
    "--install", metavar="INSTALL", help="Only those of this install: its extension's name, or its id."
)


def _one(command: CommandT) -> CommandT:
    """Add SCHEDULE, ``--tenant`` and ``--install``: the schedule that a command changes."""
    return click.argument("schedule")(tenant_option(_install_option(command)))


@click.group(
    invoke_without_command=True, help=_SCHEDULES, short_help="List a tenant's schedules, or change one."
)
@click.option("--tenant", metavar="ID", type=Tenant(), help="The tenant.")
@_install_option
@client
def schedules(session: Session, *, tenant: str | None, install: str | None) -> None:
    """See ``_SCHEDULES``."""
    command = click.get_current_context().invoked_subcommand
    if command is None:
        if tenant is None:
            raise click.UsageError("Missing option '--tenant'.")
        _list(session, tenant, install)
    elif tenant is not None or install is not None:
        raise click.UsageError(
            f"Give options after the command: alga-server schedules {command} ... --tenant ID"
        )


@schedules.command("list", help=_LIST, short_help="List a tenant's schedules.")
@tenant_option
@_install_option
@client
def list_(session: Session, *, tenant: str, install: str | None) -> None:
    """See ``_LIST``."""
    _list(session, tenant, install)


@schedules.command(help=_ENABLE, short_help="Let a disabled schedule fire again.")
@_one
@client
def enable(session: Session, *, schedule: str, tenant: str, install: str | None) -> None:
    """See ``_ENABLE``."""
    _change(session, schedule, tenant, install, {"enabled": True})


@schedules.command(help=_DISABLE, short_help="Keep a schedule from firing.")
@_one
@client
def disable(session: Session, *, schedule: str, tenant: str, install: str | None) -> None:
    """See ``_DISABLE``."""
    _change(session, schedule, tenant, install, {"enabled": False})


@schedules.command(help=_DELETE, short_help="Delete a schedule.")
@_one
@client
def delete(session: Session, *, schedule: str, tenant: str, install: str | None) -> None:
    """See ``_DELETE``."""

    async def work(admin: Admin) -> Any:
        target, path = await _find(admin, tenant, schedule, install)
        await admin.call("DELETE", *path)
        return target

    target = session.ask(work)
    name = target["name"] or target["id"]
    session.answer({"deleted": target}, lambda page: page.line(f"Deleted {name} of tenant {tenant}."))


@schedules.command(help=_EDIT, short_help="Change a schedule.")
@_one
@click.option("--endpoint", metavar="PATH", help="Call this endpoint: /path, or METHOD /path.")
@click.option("--cron", metavar="CRON", help="Fire at the times of this cron expression.")
@click.option(
    "--timezone", metavar="ZONE", help="Read the cron expression in this time zone, such as Europe/Berlin."
)
@click.option("--name", metavar="NAME", help="Call it so.")
@click.option("--payload", metavar="JSON|@FILE", type=BodyText(), help="What the handler gets as its body.")
@click.option(
    "--missed-runs",
    type=click.Choice(["skip", "latest", "all"]),
    help="Which times to make up for that were missed.",
)
@click.option("--max-attempts", metavar="N", type=int, help="How often a run is tried that fails.")
@click.option(
    "--retry-delay-seconds", metavar="N", type=int, help="How long after the first attempt the second is."
)
@click.option(
    "--retry-factor", metavar="N", type=int, help="By what the delay grows from attempt to attempt."
)
@client
def edit(
    session: Session, *, schedule: str, tenant: str, install: str | None, payload: bytes | None, **given: Any
) -> None:
    """See ``_EDIT``."""
    names = {
        "missed_runs": "missedRuns",
        "max_attempts": "maxAttempts",
        "retry_delay_seconds": "retryDelaySeconds",
        "retry_factor": "retryFactor",
    }
    changes = {names.get(name, name): value for name, value in given.items() if value is not None}
    if changes.get("name") == "":
        changes["name"] = None
    if payload is not None:
        changes["payload"] = _json(payload)
    if not changes:
        raise click.UsageError("Give what to change, such as --cron '0 * * * *'.")
    _change(session, schedule, tenant, install, changes)


def _list(session: Session, tenant: str, install: str | None) -> None:
    async def work(admin: Admin) -> Any:
        install_id = None if install is None else (await find_install(admin, tenant, install))["installId"]
        answer = (await admin.get("tenants", tenant, "schedules"))["schedules"]
        return {"schedules": [item for item in answer if install_id in (None, item["installId"])]}

    answer = session.ask(work)
    rows = [
        [
            item["name"] or item["id"],
            item["extensionName"],
            f"{item['endpointMethod']} {item['endpointPath']}",
            item["cron"],
            item["timezone"],
            minute(item["nextRunAt"]) if item["enabled"] else "disabled",
            minute(item["lastRunAt"]),
            item["lastRunStatus"],
        ]
        for item in answer["schedules"]
    ]
    columns = ["NAME", "EXTENSION", "ENDPOINT", "CRON", "ZONE", "NEXT RUN (UTC)", "LAST RUN (UTC)", "STATUS"]
    empty = f"Tenant {tenant} has no schedules{' there' if install else ''}."
    session.answer(answer, lambda page: page.table(columns, rows, empty=empty))


def _change(
    session: Session, schedule: str, tenant: str, install: str | None, changes: dict[str, Any]
) -> None:
    async def work(admin: Admin) -> Any:
        _, path = await _find(admin, tenant, schedule, install)
        _, changed = await admin.call("PATCH", *path, json=changes)
        return changed

    changed = session.ask(work)

    def report(page: Page) -> None:
        state = f"fires next at {changed['nextRunAt']}" if changed["enabled"] else "is disabled"
        page.line(f"{changed['name'] or changed['id']} of tenant {tenant} {state}.")

    session.answer(changed, report)


async def _find(admin: Admin, tenant: str, schedule: str, install: str | None) -> tuple[Any, tuple[str, ...]]:
    """The schedule, and its path in the API."""
    place = None if install is None else await find_install(admin, tenant, install)
    target = await find_schedule(admin, tenant, schedule, place)
    return target, ("tenants", tenant, "installs", target["installId"], "schedules", target["id"])


def _json(text: bytes) -> Any:
    try:
        return json.loads(text)
    except (ValueError, RecursionError) as error:
        raise click.BadParameter(f"it is not JSON: {error}.", param_hint="'--payload'") from None
