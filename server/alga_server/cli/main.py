"""The command line's front: the group and what holds for every command."""

from __future__ import annotations

import click

from .commands.clock import clock
from .commands.grants import grant, revoke
from .commands.installs import disable, enable, install, installs, uninstall
from .commands.migrate import migrate
from .commands.publish import extensions, publish
from .commands.reconcile import reconcile
from .commands.runs import run_now, runs
from .commands.schedules import schedules
from .commands.serve import serve
from .commands.upgrade import upgrade
from .failures import Commands

_HELP = """Run the reference Alga server, and administer one that runs.

\b
  alga-server serve --dev
      a server to try things on; it prints the tokens to use
  alga-server publish my-extension
  alga-server install com.example.sync --tenant acme --grant scheduler.manage
  alga-server schedules --tenant acme
      what a tenant's extensions have planned

All but serve and migrate talk to a running server: at --server or ALGA_SERVER_URL, with the token in
ALGA_SERVER_ADMIN_TOKEN. An extension is named by its name or its id, an install by its extension's name or its own id.

Exit status: 0 done, 1 failed, 2 bad usage, 130 interrupted.
"""


@click.group(
    cls=Commands,
    help=_HELP,
    context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 110},
)
@click.version_option(package_name="alga-runner", prog_name="alga-server")
@click.option(
    "--debug",
    is_flag=True,
    envvar="ALGA_SERVER_DEBUG",
    help="Show the traceback of a failure.  [env: ALGA_SERVER_DEBUG]",
)
def main(debug: bool) -> None:
    """See ``_HELP``; ``debug`` is read by ``Commands``."""


for _command in (
    serve,
    migrate,
    publish,
    extensions,
    install,
    installs,
    upgrade,
    grant,
    revoke,
    enable,
    disable,
    uninstall,
    schedules,
    runs,
    run_now,
    reconcile,
    clock,
):
    main.add_command(_command)
