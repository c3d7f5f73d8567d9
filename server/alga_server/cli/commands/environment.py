"""``alga-server environment``: fresh tokens for a server and its runner, as lines for a shell."""

from __future__ import annotations

import sys
from contextlib import suppress

import click

from alga_common.cli.commands import load
from alga_common.private_files import keep_private

_HELP = """Print an environment in which a server and a runner know each other.

The lines export fresh random tokens: the admin's, the gateway's, the one that a runner shows the server, and the one
that the server shows a runner. One line names the dialect in which a runner asks this server. Nothing is stored; every
call prints other tokens. A file that the output goes to is made readable by its owner only, before anything is in it.

\b
Examples:
  eval "$(alga-server environment)"
  alga-server environment > tokens.env

Exit status: 0 done; 2 for bad usage.
"""


@click.command(help=_HELP, short_help="Print fresh tokens for a server and its runner.")
def environment() -> None:
    """See ``_HELP``."""
    with suppress(OSError):  # not a file
        keep_private(sys.stdout.fileno())
    variables = load("alga_server.cli.tokens:fresh_environment")()
    click.echo(load("alga_server.cli.development:exports")(variables).rstrip("\n"))
