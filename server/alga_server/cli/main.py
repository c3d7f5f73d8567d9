"""The command line's front: the group and what holds for every command."""

from __future__ import annotations

import os

import click

from alga_common.cli.commands import Commands, load
from alga_common.cli.options import VariableOption

from .failures import explain

_MODULES = {
    "serve": "serve",
    "doctor": "doctor",
    "migrate": "migrate",
    "backup": "backup",
    "restore": "backup",
    "environment": "serve",
    "publish": "publish",
    "extensions": "publish",
    "install": "installs",
    "installs": "installs",
    "upgrade": "upgrade",
    "grant": "grants",
    "revoke": "grants",
    "configure": "installs",
    "call": "call",
    "enable": "installs",
    "disable": "installs",
    "uninstall": "installs",
    "schedules": "schedules",
    "runs": "runs",
    "run-now": "runs",
    "invoices": "invoices",
    "reconcile": "reconcile",
    "clock": "clock",
}
"""Command to its module in ``commands``, in the order of the help."""

_COMMANDS = {
    name: f"alga_server.cli.commands.{module}:{name.replace('-', '_')}" for name, module in _MODULES.items()
}

_HELP = """Run the reference Alga server, and administer one that runs.

\b
  alga-server serve --dev
      a server to try things on; it prints the tokens to use
  alga-server publish my-extension
  alga-server install com.example.sync --tenant acme --grant scheduler.manage
  alga-server schedules --tenant acme
      what a tenant's extensions have planned

All but serve, doctor, migrate, backup, restore and environment talk to a running server: at --server or
ALGA_SERVER_URL, with the token in ALGA_SERVER_ADMIN_TOKEN. An extension is named by its name or its id, an install by
its extension's name or its own id.

Exit status: 0 done, 1 failed, 2 bad usage, 130 interrupted.
"""


_EVERYDAY = {"ALGA_SERVER_ADMIN_TOKEN", "ALGA_SERVER_DEBUG", "ALGA_SERVER_URL"}
"""Variables of an admin's shell: for these alone the settings, which are slow to import, are not looked at."""


def _check_environment() -> None:
    if any(name.upper().startswith("ALGA_SERVER_") for name in os.environ.keys() - _EVERYDAY):
        load("alga_server.settings:ServerSettings").check_environment()


@click.group(cls=Commands, places=_COMMANDS, check=_check_environment, explain=explain, help=_HELP)
@click.version_option(package_name="alga-runner", prog_name="alga-server")
@click.option(
    "--debug",
    cls=VariableOption,
    is_flag=True,
    envvar="ALGA_SERVER_DEBUG",
    help="Show the traceback of a failure.  [env: ALGA_SERVER_DEBUG]",
)
def main(debug: bool) -> None:
    """See ``_HELP``; ``debug`` is read by ``Commands``."""
