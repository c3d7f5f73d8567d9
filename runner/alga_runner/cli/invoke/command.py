"""``alga-runner invoke``: one call of one endpoint, and everything that happened."""

from __future__ import annotations

import os
from typing import BinaryIO

import click

from alga_common.cli.commands import load
from alga_common.cli.failures import Failure
from alga_common.cli.options import Tenant, config_option, grants_option
from alga_common.cli.streams import why

from ..options import Header, JsonText, Method, Route, output_option

_HELP = """Call one endpoint of an extension and show everything that happened.

PATH is an extension's folder or a packed bundle. It is installed on an Alga server in memory, called once the way
Alga's gateway calls it, and forgotten. You see the response, the extension's log, and every host call with its
arguments, its reply and how long it took.

\b
Examples:
  alga-runner invoke my-extension GET /status
  alga-runner invoke my-extension POST /setup --grant scheduler.manage
  alga-runner invoke my-extension POST /configure --json '{"intervalHours": 6}' --grant scheduler.manage
  alga-runner invoke my-extension POST /import --body-file data.csv --header content-type:text/csv
  alga-runner invoke my-extension GET '/report?year=2026' --config currency=EUR --output json

Nothing is granted unless you say so. Exit status: 0 when the extension responded with a status below 500; 1 when it
responded with 500 or more, failed, or could not be run; 2 for bad usage.
"""


@click.command(help=_HELP, short_help="Call one endpoint and show everything that happened.")
@click.argument("path", type=click.Path())
@click.argument("method", type=Method())
@click.argument("route", type=Route())
@click.option("--json", "json_text", metavar="TEXT", type=JsonText(), help="Send this JSON as the body.")
@click.option("--body", metavar="TEXT", help="Send this text as the body.")
@click.option(
    "--body-file", metavar="FILE", type=click.File("rb"), help="Send a file as the body; - is stdin."
)
@click.option(
    "--header", "headers", metavar="NAME:VALUE", type=Header(), multiple=True, help="Send a header."
)
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
@output_option
@click.pass_context
def invoke(
    ctx: click.Context,
    *,
    path: str,
    method: str,
    route: str,
    json_text: str | None,
    body: str | None,
    body_file: BinaryIO | None,
    headers: tuple[tuple[str, str], ...],
    grants: tuple[str, ...],
    config: tuple[tuple[str, str], ...],
    tenant: str,
    timeout: int | None,
    output: str,
) -> None:
    """See ``_HELP``."""
    if sum(value is not None for value in (json_text, body, body_file)) > 1:
        raise click.UsageError("A call has one body: give one of --json, --body and --body-file.")
    all_headers = dict(headers)
    if json_text is not None:
        all_headers.setdefault("content-type", "application/json")

    data = _read(body_file) if body_file is not None else None
    if (text := json_text if json_text is not None else body) is not None:
        data = os.fsencode(text)
    invocation = load("alga_runner.cli.invoke.invocation:Invocation")(
        path=path,
        method=method,
        route=route,
        body=data,
        headers=all_headers,
        grants=grants,
        config=dict(config),
        tenant_id=tenant,
        timeout_ms=timeout,
    )
    succeeded = load("alga_runner.cli.invoke.report:invoke")(invocation, as_json=output == "json")
    ctx.exit(0 if succeeded else 1)


def _read(file: BinaryIO) -> bytes:
    limit: int = load("alga_runner.settings:Settings").load().max_body_bytes
    try:
        data = file.read(limit + 1)
    except OSError as error:
        place = "standard input" if file.fileno() == 0 else file.name
        raise Failure("system_error", f"The body cannot be read from {place}: {why(error)}.") from None
    if len(data) > limit:
        raise click.BadParameter(f"the body is larger than {limit} bytes.", param_hint="'--body-file'")
    return data
