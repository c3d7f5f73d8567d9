"""``alga-server upgrade``: move an install to another version."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import click

from alga_common.text import counted, listed

from ..lookups import find_extension, find_install, find_version
from ..options import client, tenant_option
from ..session import Session
from ..warmup import ANSWER_S, warmup_text, warn_if_refused

if TYPE_CHECKING:
    from alga_common.cli.page import Page

    from ..admin import Admin


_UPGRADE = """Move an install to another version of its extension: the newest, or with --version any.

The newest is the highest by SemVer's precedence, a pre-release only if there are no others. Without --version an
install never goes back to a lower version.

INSTALL is the extension's name, or the install's id. Its schedules go on at the endpoints of the same method and path.
If the version lacks one of them, nothing is changed and the schedules are listed; with --disable-missing-schedules they
are disabled. Nothing is granted that was not; what the version does not declare is granted no more.

\b
Examples:
  alga-server upgrade com.example.sync --tenant acme
  alga-server upgrade com.example.sync --tenant acme --version 1.3.0
  alga-server upgrade com.example.sync --tenant acme --disable-missing-schedules

Exit status: 0 it is at the version; 1 refused; 2 for bad usage.
"""


@click.command(help=_UPGRADE, short_help="Move an install to another version.")
@click.argument("install")
@tenant_option
@click.option(
    "--version",
    "version_number",
    metavar="VERSION",
    help="Go to this version, not the newest; may be a lower one.",
)
@click.option(
    "--disable-missing-schedules",
    is_flag=True,
    help="Disable the schedules whose endpoint the version lacks, in place of changing nothing.",
)
@client
def upgrade(
    session: Session,
    *,
    install: str,
    tenant: str,
    version_number: str | None,
    disable_missing_schedules: bool,
) -> None:
    """See ``_UPGRADE``."""

    async def work(admin: Admin) -> tuple[Any, list[str]]:
        current = await find_install(admin, tenant, install)
        extension = await find_extension(admin, current["extensionId"])
        body = {
            "versionId": find_version(extension, version_number)["versionId"] if version_number else None,
            "disableMissingSchedules": disable_missing_schedules,
        }
        place = ("tenants", tenant, "installs", current["installId"])
        _, changed = await admin.call("POST", *place, "upgrade", json=body, answer_s=ANSWER_S)
        version = find_version(await find_extension(admin, current["extensionId"]), changed["version"])
        return changed, sorted(set(version["capabilities"]) - set(changed["providers"]))

    changed, withheld = session.ask(work, doing=f"Upgrading {install}")
    warn_if_refused(changed["warmup"])
    name = f"{changed['extensionName']} is at {changed['version']} for tenant {tenant}"
    was = changed["previousVersion"]

    def report(page: Page) -> None:
        page.line(f"{name} already." if was == changed["version"] else f"{name}; it was at {was}.")
        if text := warmup_text(changed["warmup"]):
            page.line(f"  compiled  {text}")
        if changed["schedulesRemapped"]:
            page.line(f"  {counted(changed['schedulesRemapped'], 'schedule')} went with it")
        for schedule in changed["schedulesDisabled"]:
            page.line(
                f"  disabled  schedule {schedule['scheduleId']}: no {schedule['method']} {schedule['path']}"
            )
        if changed["grantsEnded"]:
            page.line(f"  granted no more  {listed(changed['grantsEnded'])}")
        if withheld:
            page.line(f"  asks for  {listed(withheld)}")
            page.line(
                f"            alga-server grant {changed['extensionName']} --tenant {tenant} --grant {withheld[0]}"
            )

    session.answer(changed, report)
