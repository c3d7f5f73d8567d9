"""``alga-server schedules``: the schedules of a tenant and when they fire."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import click

from alga_common.text import minute

from ..lookups import find_install
from ..options import client, tenant_option
from ..session import Session

if TYPE_CHECKING:
    from ..admin import Admin

_SCHEDULES = """List a tenant's schedules: when each fires next, and how its last run went.

Without --install they are those of every install of the tenant.

\b
Examples:
  alga-server schedules --tenant acme
  alga-server schedules --tenant acme --install com.example.sync
  alga-server schedules --tenant acme --json | jq -r '.schedules[] | [.name, .nextRunAt] | @tsv'

Exit status: 0 done; 1 failed; 2 for bad usage.
"""


@click.command(help=_SCHEDULES, short_help="List a tenant's schedules.")
@tenant_option
@click.option(
    "--install", metavar="INSTALL", help="Only those of this install: its extension's name, or its id."
)
@client
def schedules(session: Session, *, tenant: str, install: str | None) -> None:
    """See ``_SCHEDULES``."""

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
