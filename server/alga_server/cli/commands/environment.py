"""``alga-server environment``: fresh tokens for a server and its runner, as lines for a shell."""

from __future__ import annotations

import click

from alga_common.cli.commands import load

_HELP = """Print an environment in which a server and a runner know each other.

Each line exports a fresh random token: the admin's, the gateway's, the one that a runner shows the server, and the one
that the server shows a runner. Nothing is stored; every call prints other tokens.

\b
Examples:
  eval "$(alga-server environment)"
  alga-server environment > tokens.env && chmod 600 tokens.env

Exit status: 0 done; 2 for bad usage.
"""


@click.command(help=_HELP, short_help="Print fresh tokens for a server and its runner.")
def environment() -> None:
    """See ``_HELP``."""
    for name, value in load("alga_server.cli.tokens:fresh_environment")().items():
        click.echo(f"export {name}={value}")
