"""``alga-runner serve``: the runner as a service."""

from __future__ import annotations

import click

from alga_common.cli.commands import load
from alga_common.cli.options import GivenText, VariableOption
from alga_common.wire import is_loopback

from .options import HostOption, WorkerCount, bundle_store_option, server_url_option

_HELP = """Serve executions over HTTP: POST /v1/execute and /warmup, and GET /healthz, /readyz, /metrics.

Extensions come from the folder that the Alga server publishes them to. Host calls go to the Alga server. Callers show
RUNNER_SERVICE_TOKEN as x-runner-service-token; the runner shows RUNNER_STORAGE_API_TOKEN (else the same token) to the
Alga server. Tokens and all other settings are read from the environment.

\b
Examples:
  RUNNER_SERVICE_TOKEN=... alga-runner serve --bundle-store /srv/bundles --server-url https://alga.example
  alga-runner serve --workers auto --bundle-store /srv/bundles --server-url https://alga.example
  alga-runner serve --dev --port 0 --bundle-store ./bundles

Once it answers it prints its address on stdout. The log goes to stderr: text in a terminal, else JSON, a line each.
The first SIGTERM or Ctrl-C lets executions under way finish, the second ends them.

With --workers, processes share the port. One that dies is replaced; one that uses too much memory, too, when its
executions have ended. SIGHUP replaces all, one after the other.

Exit status: 0 after SIGTERM or Ctrl-C, 1 when it cannot start or its workers die again and again, 2 for bad usage, 128
and the signal's number when a second signal cut it short.
"""


@click.command(help=_HELP, short_help="Serve executions over HTTP.")
@click.option(
    "--host",
    cls=HostOption,
    type=GivenText(),
    default="127.0.0.1",
    show_default=True,
    envvar=["ALGA_RUNNER_HOST", "HOST"],
    help="Address to listen on; 0.0.0.0 is every one.  [env: ALGA_RUNNER_HOST, HOST]",
)
@click.option(
    "--port",
    cls=VariableOption,
    type=click.IntRange(0, 65535),
    default=8080,
    show_default=True,
    envvar=["ALGA_RUNNER_PORT", "PORT"],
    help="Port to listen on; 0 takes a free one.  [env: ALGA_RUNNER_PORT, PORT]",
)
@bundle_store_option
@server_url_option
@click.option(
    "--log-level",
    type=click.Choice(["debug", "info", "warning", "error"]),
    help="Least severe log line that is written.  [env: ALGA_RUNNER_LOG_LEVEL; default: info]",
)
@click.option(
    "--workers",
    cls=VariableOption,
    type=WorkerCount(),
    default="1",
    show_default=True,
    envvar="ALGA_RUNNER_WORKERS",
    help="Processes that share the port; auto is one for each core.  [env: ALGA_RUNNER_WORKERS]",
)
@click.option("--dev", is_flag=True, help="Do without a service token; on a loopback address only.")
@click.pass_context
def serve(
    ctx: click.Context,
    *,
    host: str,
    port: int,
    bundle_store: str | None,
    server_url: str | None,
    log_level: str | None,
    workers: int,
    dev: bool,
) -> None:
    """See ``_HELP``."""
    if dev and not is_loopback(host):
        raise click.UsageError(
            f"--dev lets everyone in who can connect, so it needs a loopback --host, not {host}."
        )

    given = {"bundle_store": bundle_store, "server_url": server_url, "log_level": log_level}
    run = load("alga_runner.cli.serving:serve")
    ctx.exit(run(given, workers=workers, host=host, port=port, require_token=not dev))
