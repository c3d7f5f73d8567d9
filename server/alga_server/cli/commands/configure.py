"""``alga-server configure``: the configuration of an install."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import click

from alga_common.cli.options import BodyText, Pair, config_option
from alga_common.text import listed

from ..lookups import find_install
from ..options import client, tenant_option
from ..session import Session

if TYPE_CHECKING:
    from alga_common.cli.page import Page

    from ..admin import Admin

_CONFIGURE = """Set values of an install's configuration, or remove some; the others stay.

INSTALL is the extension's name, or the install's id. Executions that start later have the new values. Arguments are for
everyone on the machine to read: give a secret as --config-file KEY=FILE, or KEY=- for standard input. One line end at
the end of a file is not part of the value. The values are not printed.

\b
Examples:
  alga-server configure com.example.sync --tenant acme --config region=eu --unset currency
  alga-server configure com.example.sync --tenant acme --config-file apiKey=/run/secrets/api-key
  pass show sync/api-key | alga-server configure com.example.sync --tenant acme --config-file apiKey=-

Exit status: 0 configured; 1 refused; 2 for bad usage.
"""


@click.command(help=_CONFIGURE, short_help="Set values of an install's configuration.")
@click.argument("install")
@tenant_option
@config_option
@click.option(
    "--config-file",
    "files",
    metavar="KEY=FILE",
    type=Pair(),
    multiple=True,
    help="Set a value to what a file has; - is stdin. May be repeated.",
)
@click.option("--unset", metavar="KEY", multiple=True, help="Remove a value. May be repeated.")
@client
def configure(
    session: Session,
    *,
    install: str,
    tenant: str,
    config: tuple[tuple[str, str], ...],
    files: tuple[tuple[str, str], ...],
    unset: tuple[str, ...],
) -> None:
    """See ``_CONFIGURE``."""
    values = dict(config)
    if sum(place == "-" for _, place in files) > 1:
        raise click.UsageError("Standard input has one value: give one KEY=-.")
    values |= {key: _value(key, place) for key, place in files}
    if not values and not unset:
        raise click.UsageError(
            "Give what to change: --config KEY=VALUE, --config-file KEY=FILE or --unset KEY."
        )
    if both := sorted(values.keys() & set(unset)):
        raise click.UsageError(f"{listed(both)} cannot be both set and unset.")

    async def work(admin: Admin) -> Any:
        current = await find_install(admin, tenant, install)
        change = {"setConfig": values, "unsetConfig": list(unset)}
        path = ("tenants", tenant, "installs", current["installId"])
        _, changed = await admin.call("PATCH", *path, json=change)
        return changed

    changed = session.ask(work)

    def report(page: Page) -> None:
        page.line(f"{changed['extensionName']} is configured for tenant {tenant}.")
        page.line(f"  values  {listed(sorted(changed['config']))}")

    session.answer({**changed, "config": sorted(changed["config"])}, report)


def _value(key: str, place: str) -> str:
    content = BodyText().convert(f"@{place}", None, click.get_current_context())
    try:
        return content.decode().removesuffix("\n").removesuffix("\r")
    except UnicodeDecodeError:
        raise click.BadParameter(f"the value of {key} is not UTF-8.", param_hint="'--config-file'") from None
