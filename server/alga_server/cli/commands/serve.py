"""``alga-server serve``: the server itself; ``alga-server environment``: fresh tokens for it and its runner."""

from __future__ import annotations

import sys
from contextlib import suppress
from pathlib import Path

import click

from alga_common.cli.commands import load
from alga_common.cli.options import GivenPath, GivenText, json_option
from alga_common.private_files import keep_private
from alga_common.wire import is_loopback

from ..options import server_options

_HELP = """Run the Alga server until Ctrl-C or SIGTERM.

Once it answers it prints one line on stdout: alga-server listening on http://127.0.0.1:8090. Its log goes to stderr, in
JSON lines unless that is a terminal. The first SIGTERM or Ctrl-C lets calls under way finish, for 30 seconds; the
second ends them.

Tokens come from the environment (ALGA_SERVER_ADMIN_TOKEN for admins, ALGA_SERVER_GATEWAY_TOKEN for the gateway,
ALGA_SERVER_RUNNER_TOKEN for host calls, ALGA_SERVER_RUNNER_SERVICE_TOKEN for the runner) or, with --token-file, from a
file of such lines. A surface whose token is not set refuses every call. Every other setting has its variable too:
docs/settings.md.

\b
Examples:
  alga-server serve --dev
  eval "$(alga-server serve --dev --print-env)"
  alga-server serve --database alga.db --bundle-store bundles --token-file tokens.env
  alga-server serve --database alga.db --bundle-store bundles --host 0.0.0.0 --port 80 --runner-url http://runner:8080

--dev is for one machine: it listens on loopback only, keeps everything in memory and in a folder that goes at the end
if you name no others, and lets `alga-server clock` put its time forward. Tokens that are not set are this user's
development tokens, made up once; eval "$(alga-server serve --dev --print-env)" sets them in another terminal.

Exit status: 0 after SIGTERM or Ctrl-C; 1 when it could not serve; 2 for bad usage; 128 and the signal's number when a
second signal cut it short.
"""

_ENVIRONMENT = """Print an environment in which a server and a runner know each other.

The lines export fresh random tokens: the admin's, the gateway's, the one that a runner shows the server, and the one
that the server shows a runner. One line names the dialect in which a runner asks this server. Nothing is stored; every
call prints other tokens. A file that the output goes to is made readable by its owner only, before anything is in it.

\b
Examples:
  eval "$(alga-server environment)"
  alga-server environment > tokens.env

Exit status: 0 done; 2 for bad usage.
"""


@click.command(help=_HELP, short_help="Run the server.")
@click.option(
    "--host",
    metavar="HOST",
    type=GivenText(),
    default="127.0.0.1",
    show_default=True,
    help="The address to listen on.",
)
@click.option(
    "--port",
    metavar="PORT",
    type=click.IntRange(0, 65535),
    default=8090,
    show_default=True,
    help="The port to listen on; 0 takes a free one.",
)
@server_options
@click.option(
    "--seed-data",
    metavar="FILE",
    type=GivenPath(),
    help="Clients, services and routes for extensions to read, as YAML or JSON.",
)
@click.option("--dev", is_flag=True, help="For development, on loopback only.")
@click.option(
    "--print-env",
    is_flag=True,
    help="With --dev: print the lines for other terminals and do not serve.",
)
@json_option
@click.pass_context
def serve(
    ctx: click.Context,
    *,
    host: str,
    port: int,
    database: str | None,
    bundle_store: Path | None,
    runner_url: str | None,
    token_file: Path | None,
    seed_data: Path | None,
    dev: bool,
    print_env: bool,
    as_json: bool,
) -> None:
    """See ``_HELP``."""
    if dev and not is_loopback(host):
        raise click.UsageError("--dev listens on loopback only: give --host 127.0.0.1, or leave --dev out.")
    given = {
        "database_url": database,
        "bundle_store": None if bundle_store is None else bundle_store.absolute(),
        "runner_url": runner_url,
        "seed_data": None if seed_data is None else seed_data.absolute(),
        "development": dev or None,
    }
    if print_env:
        if not dev or port == 0:
            raise click.UsageError(
                "--print-env goes with --dev, and with the --port that the server listens on."
            )
        show = load("alga_server.cli.serving:print_environment")
        show(given, host=host, port=port, token_file=token_file, as_json=as_json)
        return
    run = load("alga_server.cli.serving:serve")
    ctx.exit(run(given, host=host, port=port, token_file=token_file, dev=dev, as_json=as_json))


@click.command(help=_ENVIRONMENT, short_help="Print fresh tokens for a server and its runner.")
def environment() -> None:
    """See ``_ENVIRONMENT``."""
    with suppress(OSError):  # not a file
        keep_private(sys.stdout.fileno())
    variables = load("alga_server.cli.tokens:fresh_environment")()
    click.echo(load("alga_server.cli.development:exports")(variables).rstrip("\n"))
