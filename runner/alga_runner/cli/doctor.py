"""``alga-runner doctor``: whether this environment lets a runner do its work."""

from __future__ import annotations

from pathlib import Path

import click

from alga_common.cli.commands import load
from alga_common.cli.options import GivenPath, json_option

from .options import bundle_store_option, server_url_option

_HELP = """Check that a runner with these settings would be ready: the checks of /readyz, in sentences.

It reads the environment as serve does, tries the engine, reads the bundle store, and asks the Alga server whether it
answers, accepts the runner's token and has the same time. Each failed check names the next step. Nothing is executed
and nothing listens; a runner may be running meanwhile.

With --alga it checks nothing. It reads an environment of Alga's own runner, this one or --env-file, and prints the
lines to add so that this runner can take its place, each with what it leaves open, the variables to correct, and which
variables have no effect. All but the lines are comments, so that they can be appended to the file.

\b
Examples:
  alga-runner doctor
  alga-runner doctor --alga --env-file runner.env >> runner.env
  alga-runner doctor --bundle-store /srv/bundles --server-url https://alga.example
  alga-runner doctor --json | jq -r '.checks[] | select(.failed) | .hint'

Exit status: 0 no check failed, 1 one did or a variable has to be corrected, 2 for bad usage.
"""


@click.command(help=_HELP, short_help="Check that a runner would be ready.")
@bundle_store_option
@server_url_option
@click.option("--dev", is_flag=True, help="Do without a service token, as serve --dev does.")
@click.option("--alga", is_flag=True, help="Print what to add to an environment of Alga's runner.")
@click.option(
    "--env-file",
    metavar="FILE",
    type=GivenPath(),
    help="With --alga: the environment, in lines NAME=VALUE; without it, that of this process.",
)
@json_option
@click.pass_context
def doctor(
    ctx: click.Context,
    *,
    bundle_store: str | None,
    server_url: str | None,
    dev: bool,
    alga: bool,
    env_file: Path | None,
    as_json: bool,
) -> None:
    """See ``_HELP``."""
    if env_file is not None and not alga:
        raise click.UsageError("--env-file goes with --alga.")
    if alga:
        ready = load("alga_runner.cli.drop_in:report")(env_file, as_json=as_json)
        ctx.exit(0 if ready else 1)
    given = {"bundle_store": bundle_store, "server_url": server_url}
    findings = load("alga_runner.cli.diagnosis:diagnose")(given, require_token=not dev)
    passed = load("alga_common.cli.doctor:report_findings")(findings, as_json=as_json)
    ctx.exit(0 if passed else 1)
