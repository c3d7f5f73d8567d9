"""``alga-runner invoke``: one call of one endpoint, and everything that happened."""

from __future__ import annotations

from pathlib import Path

import click

from alga_common.cli.commands import load
from alga_common.cli.options import (
    GivenPath,
    Method,
    Pair,
    Route,
    Tenant,
    body_options,
    config_option,
    grants_option,
    json_option,
    with_content_type,
)

_HELP = """Call one endpoint of an extension and show everything that happened.

PATH is an extension's folder or a packed bundle. It is installed on an Alga server in memory, called once the way
Alga's gateway calls it, and forgotten, unless --state names a file that keeps it. You see the response, the
extension's log, and every host call with its arguments, its reply and how long it took.

\b
Examples:
  alga-runner invoke my-extension GET /status
  alga-runner invoke my-extension POST /setup --grant scheduler.manage
  alga-runner invoke my-extension POST /configure --body '{"intervalHours": 6}' --grant scheduler.manage
  alga-runner invoke my-extension POST /import --body @data.csv --header content-type:text/csv
  alga-runner invoke my-extension GET '/report?year=2026' --config currency=EUR --json
  alga-runner invoke my-extension POST /cleanup --grant scheduler.manage --state trial.db
  alga-runner invoke my-extension GET /rates --grant http.fetch --grant secrets.get \\
    --allow-host api.example.com --secrets secrets.json

Nothing is granted unless you say so. Exit status: 0 when the extension responded with a status below 500; 1 when it
responded with 500 or more, failed, or could not be run; 2 for bad usage.
"""


@click.command(help=_HELP, short_help="Call one endpoint and show everything that happened.")
@click.argument("path", type=click.Path())
@click.argument("method", type=Method())
@click.argument("route", type=Route())
@body_options
@grants_option()
@config_option
@click.option(
    "--tenant",
    metavar="ID",
    type=Tenant(),
    default="local",
    show_default=True,
    help="Install it for this tenant.",
)
@click.option(
    "--timeout",
    metavar="MS",
    type=click.IntRange(min=1),
    help="Milliseconds it may take, host calls included.",
)
@click.option(
    "--state",
    metavar="FILE",
    type=click.Path(dir_okay=False, path_type=Path),
    help="Keep the server's database in this file: the next call with it finds the install and its schedules.",
)
@click.option(
    "--seed-data",
    metavar="FILE",
    type=GivenPath(),
    help="Clients, services and routes for the extension to read, as YAML or JSON.",
)
@click.option(
    "--secret",
    "secrets",
    metavar="NAME=VALUE",
    type=Pair(secret=True),
    multiple=True,
    help="Give the install a secret; others on this machine can see it, in the list of processes. May be repeated.",
)
@click.option(
    "--secrets",
    "secrets_file",
    metavar="FILE",
    type=GivenPath(),
    help="Give it those of this file: a JSON object of texts.",
)
@click.option(
    "--allow-host",
    "allowed_hosts",
    metavar="RULE",
    multiple=True,
    help="Let it call this server, like api.example.com or http://localhost:8000. May be repeated.",
)
@json_option
@click.pass_context
def invoke(
    ctx: click.Context,
    *,
    path: str,
    method: str,
    route: str,
    body: bytes | None,
    headers: tuple[tuple[str, str], ...],
    grants: tuple[str, ...],
    config: tuple[tuple[str, str], ...],
    tenant: str,
    timeout: int | None,
    state: Path | None,
    seed_data: Path | None,
    secrets: tuple[tuple[str, str], ...],
    secrets_file: Path | None,
    allowed_hosts: tuple[str, ...],
    as_json: bool,
) -> None:
    """See ``_HELP``."""
    limit: int = load("alga_runner.settings:Settings").load().max_body_bytes
    if body is not None and len(body) > limit:
        raise click.BadParameter(f"the body is larger than {limit} bytes.", param_hint="'--body'")
    invocation = load("alga_runner.cli.invoke.invocation:Invocation")(
        path=path,
        method=method,
        route=route,
        body=body,
        headers=with_content_type(headers, body),
        grants=grants,
        config=dict(config),
        tenant_id=tenant,
        timeout_ms=timeout,
        state=state,
        seed_data=seed_data,
        secrets={**load("alga_runner.cli.invoke.outside:read_secrets")(secrets_file), **dict(secrets)},
        allowed_hosts=allowed_hosts,
    )
    succeeded = load("alga_runner.cli.invoke.report:invoke")(invocation, as_json=as_json)
    ctx.exit(0 if succeeded else 1)
