"""``alga-server doctor``: whether this environment lets a server do its work."""

from __future__ import annotations

from pathlib import Path

import click

from alga_common.cli.commands import load
from alga_common.cli.options import json_option

from ..options import server_options

_HELP = """Check that a server with these settings would be ready: the checks of /readyz, in sentences.

It reads the environment and --token-file as serve does, reads and writes the database and the bundle store, and asks
the runner whether it answers, accepts the server's token and has the same time. Each failed check names the next step.
Nothing is migrated or fired, and nothing listens; a server may be running on the same database meanwhile.

\b
Examples:
  alga-server doctor --database alga.db --bundle-store bundles --token-file tokens.env
  alga-server doctor --json | jq -r '.checks[] | select(.failed) | .hint'

Exit status: 0 no check failed; 1 one did; 2 for bad usage.
"""


@click.command(help=_HELP, short_help="Check that a server would be ready.")
@server_options
@json_option
@click.pass_context
def doctor(
    ctx: click.Context,
    *,
    database: str | None,
    bundle_store: Path | None,
    runner_url: str | None,
    token_file: Path | None,
    as_json: bool,
) -> None:
    """See ``_HELP``."""
    given = {
        "database_url": database,
        "bundle_store": None if bundle_store is None else bundle_store.absolute(),
        "runner_url": runner_url,
    }
    findings = load("alga_server.cli.diagnosis:diagnose")(given, token_file)
    passed = load("alga_common.cli.doctor:report_findings")(findings, as_json=as_json)
    ctx.exit(0 if passed else 1)
