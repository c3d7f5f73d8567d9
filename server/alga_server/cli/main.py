"""The command line's front: the group and what holds for every command."""

from __future__ import annotations

import click

from .clock_command import clock
from .failures import Commands
from .grant_commands import grant, revoke
from .install_commands import disable, enable, install, installs, uninstall
from .migrate_command import migrate
from .publish_commands import extensions, publish
from .reconcile_command import reconcile
from .run_commands import run_now, runs
from .schedule_commands import schedules
from .serve_command import serve
from .upgrade_command import upgrade

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
