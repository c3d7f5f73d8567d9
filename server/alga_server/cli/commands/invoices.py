"""``alga-server invoices``: what a tenant's extensions billed."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import click

from ..options import client, tenant_option
from ..session import Session

if TYPE_CHECKING:
    from ..admin import Admin

_HELP = """List the invoices that a tenant's extensions made, newest first.

Amounts are in the currency's smallest unit. With --json each invoice has its items.

\b
Examples:
  alga-server invoices --tenant acme
  alga-server invoices --tenant acme --limit 1 --json | jq '.invoices[].items'

Exit status: 0 done; 1 failed; 2 for bad usage.
"""


@click.command(help=_HELP, short_help="List the invoices that extensions made.")
@tenant_option
@click.option(
    "--limit",
    metavar="N",
    type=click.IntRange(1, 200),
    default=20,
    show_default=True,
    help="At most so many, the newest.",
)
@client
def invoices(session: Session, *, tenant: str, limit: int) -> None:
    """See ``_HELP``."""

    async def work(admin: Admin) -> Any:
        return await admin.get("tenants", tenant, "invoices", limit=limit)

    answer = session.ask(work)
    rows = [
        [
            item["invoiceNumber"],
            item["invoiceDate"],
            item["clientName"],
            str(item["subtotal"]),
            str(item["tax"]),
            f"{item['total']} {item['currency'] or ''}".rstrip(),
        ]
        for item in answer["invoices"]
    ]
    columns = ["INVOICE", "DATE", "CLIENT", "SUBTOTAL", "TAX", "TOTAL"]
    empty = f"Extensions of tenant {tenant} have made no invoices."
    session.answer(answer, lambda page: page.table(columns, rows, empty=empty))
