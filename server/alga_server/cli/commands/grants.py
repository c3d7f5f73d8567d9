"""``alga-server grant`` and ``revoke``: the capabilities of an install."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import click

from alga_common.cli.commands import say
from alga_common.cli.options import grants_option
from alga_common.text import listed

from ..lookups import find_install
from ..options import client, tenant_option
from ..session import Session

if TYPE_CHECKING:
    from alga_common.cli.page import Page

    from ..admin import Admin


_GRANT = """Grant capabilities to an install. Those it has stay.

INSTALL is the extension's name, or the install's id. Only what the extension's manifest declares can be granted.

\b
Examples:
  alga-server grant com.example.sync --tenant acme --grant scheduler.manage
  alga-server grant com.example.sync --tenant acme --grant scheduler.manage --grant storage.kv

Exit status: 0 granted, now or before; 1 refused; 2 for bad usage.
"""

_REVOKE = """Take capabilities from an install. The others stay.

INSTALL is the extension's name, or the install's id. Its next execution is without them; the schedules it made stay.

\b
Examples:
  alga-server revoke com.example.sync --tenant acme --grant scheduler.manage

Exit status: 0 the install is without them; 1 refused; 2 for bad usage.
"""


@click.command(help=_GRANT, short_help="Grant capabilities to an install.")
@click.argument("install")
@tenant_option
@grants_option(required=True)
@client
def grant(session: Session, *, install: str, tenant: str, grants: tuple[str, ...]) -> None:
    """See ``_GRANT``."""
    _change(session, install, tenant, {"addGrants": list(grants)})


@click.command(help=_REVOKE, short_help="Take capabilities from an install.")
@click.argument("install")
@tenant_option
@grants_option(required=True)
@client
def revoke(session: Session, *, install: str, tenant: str, grants: tuple[str, ...]) -> None:
    """See ``_REVOKE``."""
    changed = _change(session, install, tenant, {"removeGrants": list(grants)})
    kept = sorted(set(grants) & set(changed["providers"]))
    if kept:
        say("hint", f"Every execution has {listed(kept)}; that cannot be revoked.")


def _change(session: Session, install: str, tenant: str, change: dict[str, list[str]]) -> Any:
    async def work(admin: Admin) -> Any:
        current = await find_install(admin, tenant, install)
        place = ("tenants", tenant, "installs", current["installId"])
        _, changed = await admin.call("PATCH", *place, json=change)
        return changed

    changed = session.ask(work)

    def report(page: Page) -> None:
        name = changed["extensionName"]
        page.line(f"{name} is granted {listed(changed['grants'])} for tenant {tenant}.")

    session.answer(changed, report)
    return changed
