"""``alga-server install``, ``uninstall``, ``configure``, ``enable``, ``disable``, ``installs``: a tenant's installs."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import click

from alga_common.cli.options import BodyText, Pair, config_option, grants_option
from alga_common.text import counted, listed

from ..lookups import find_extension, find_install, find_version
from ..options import client, tenant_option
from ..session import Session
from ..warmup import ANSWER_S, warmup_text, warn_if_refused

if TYPE_CHECKING:
    from alga_common.cli.page import Page

    from ..admin import Admin


_INSTALL = """Install an extension for a tenant, with the capabilities you grant and no others.

EXTENSION is an extension's name or id. Without --version it is the newest. Configuration is what the server sends with
every execution.

\b
Examples:
  alga-server install com.example.sync --tenant acme
  alga-server install com.example.sync --tenant acme --grant scheduler.manage
  alga-server install com.example.sync --tenant acme --version 1.2.0 --config region=eu --config currency=EUR

Exit status: 0 installed; 1 refused; 2 for bad usage.
"""

_UNINSTALL = """Uninstall an extension from a tenant. Its grants, its configuration and its schedules go with it.

INSTALL is the extension's name, or the install's id.

\b
Examples:
  alga-server uninstall com.example.sync --tenant acme

Exit status: 0 uninstalled; 1 refused; 2 for bad usage.
"""

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

_ENABLE = """Let a disabled install run again: its schedules fire, its endpoints answer.

INSTALL is the extension's name, or the install's id.

\b
Examples:
  alga-server enable com.example.sync --tenant acme

Exit status: 0 enabled; 1 refused; 2 for bad usage.
"""

_DISABLE = """Keep an install from running: no endpoint answers, no schedule fires, until it is enabled.

INSTALL is the extension's name, or the install's id. Nothing of it is lost.

\b
Examples:
  alga-server disable com.example.sync --tenant acme

Exit status: 0 disabled; 1 refused; 2 for bad usage.
"""

_INSTALLS = """List a tenant's installs with their granted capabilities.

\b
Examples:
  alga-server installs --tenant acme
  alga-server installs --tenant acme --json | jq -r '.installs[].grants[]'

Exit status: 0 done; 1 failed; 2 for bad usage.
"""


@click.command(help=_INSTALL, short_help="Install an extension for a tenant.")
@click.argument("extension")
@tenant_option
@grants_option()
@config_option
@click.option("--version", "version_number", metavar="VERSION", help="Install this version, not the newest.")
@client
def install(
    session: Session,
    *,
    extension: str,
    tenant: str,
    grants: tuple[str, ...],
    config: tuple[tuple[str, str], ...],
    version_number: str | None,
) -> None:
    """See ``_INSTALL``."""

    async def work(admin: Admin) -> tuple[Any, list[str]]:
        published = await find_extension(admin, extension)
        version = find_version(published, version_number)
        body = {
            "extensionId": published["extensionId"],
            "versionId": version["versionId"],
            "grants": list(grants),
            "config": dict(config),
        }
        _, made = await admin.call("POST", "tenants", tenant, "installs", json=body, answer_s=ANSWER_S)
        return made, sorted(set(version["capabilities"]) - set(made["providers"]))

    made, withheld = session.ask(work, doing=f"Installing {extension}")
    warn_if_refused(made["warmup"])

    def report(page: Page) -> None:
        page.line(f"Installed {made['extensionName']} {made['version']} for tenant {tenant}.")
        page.line(f"  install  {made['installId']}")
        page.line(f"  granted  {listed(made['grants'])}")
        if text := warmup_text(made["warmup"]):
            page.line(f"  compiled {text}")
        if withheld:
            page.line(f"  asks for {listed(withheld)}")
            page.line(
                f"           alga-server grant {made['extensionName']} --tenant {tenant} --grant {withheld[0]}"
            )

    session.answer(made, report)


@click.command(help=_UNINSTALL, short_help="Uninstall an extension from a tenant.")
@click.argument("install")
@tenant_option
@client
def uninstall(session: Session, *, install: str, tenant: str) -> None:
    """See ``_UNINSTALL``."""

    async def work(admin: Admin) -> tuple[Any, int]:
        current = await find_install(admin, tenant, install)
        place = ("tenants", tenant, "installs", current["installId"])
        schedules = (await admin.get(*place, "schedules"))["schedules"]
        await admin.call("DELETE", *place)
        return current, len(schedules)

    gone, schedules = session.ask(work)
    name = f"{gone['extensionName']} {gone['version']}"
    with_it = f", and {counted(schedules, 'schedule')} with it" if schedules else ""
    document = {"uninstalled": gone, "schedulesRemoved": schedules}
    session.answer(document, lambda page: page.line(f"Uninstalled {name} from tenant {tenant}{with_it}."))


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


@click.command(help=_ENABLE, short_help="Let a disabled install run again.")
@click.argument("install")
@tenant_option
@client
def enable(session: Session, *, install: str, tenant: str) -> None:
    """See ``_ENABLE``."""
    _switch(session, install, tenant, enabled=True)


@click.command(help=_DISABLE, short_help="Keep an install from running.")
@click.argument("install")
@tenant_option
@client
def disable(session: Session, *, install: str, tenant: str) -> None:
    """See ``_DISABLE``."""
    _switch(session, install, tenant, enabled=False)


@click.command(help=_INSTALLS, short_help="List a tenant's installs.")
@tenant_option
@client
def installs(session: Session, *, tenant: str) -> None:
    """See ``_INSTALLS``."""

    async def work(admin: Admin) -> Any:
        return await admin.get("tenants", tenant, "installs")

    answer = session.ask(work)
    rows = [
        [
            item["extensionName"],
            item["version"],
            "enabled" if item["enabled"] else "disabled",
            listed(item["grants"], nothing="-"),
            item["installId"],
        ]
        for item in answer["installs"]
    ]
    columns = ["EXTENSION", "VERSION", "STATE", "GRANTED", "INSTALL"]
    empty = f"Tenant {tenant} has no installs."
    session.answer(answer, lambda page: page.table(columns, rows, empty=empty))


def _switch(session: Session, install: str, tenant: str, *, enabled: bool) -> None:
    async def work(admin: Admin) -> Any:
        current = await find_install(admin, tenant, install)
        place = ("tenants", tenant, "installs", current["installId"])
        _, changed = await admin.call("PATCH", *place, json={"enabled": enabled})
        return changed

    changed = session.ask(work)
    state = "enabled" if enabled else "disabled"
    session.answer(
        changed, lambda page: page.line(f"{changed['extensionName']} is {state} for tenant {tenant}.")
    )


def _value(key: str, place: str) -> str:
    content = BodyText().convert(f"@{place}", None, click.get_current_context())
    try:
        return content.decode().removesuffix("\n").removesuffix("\r")
    except UnicodeDecodeError:
        raise click.BadParameter(f"the value of {key} is not UTF-8.", param_hint="'--config-file'") from None
