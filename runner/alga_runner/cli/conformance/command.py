"""``alga-runner conformance``: whether a host keeps every rule of the guest ABI."""

from __future__ import annotations

import click

from alga_common.cli.commands import load
from alga_common.cli.options import json_option

_HELP = """Probe a host of guest ABI v1 with guests for every rule of guest-abi/ABI.md.

Each case executes a small guest and compares the outcome: the response, the code that ends the execution, the host
calls that are carried out, the lines of log. The host is this runner, in this process and with its settings, unless
--host names another: a command that reads one case a line on its stdin, as JSON, and writes one result a line on its
stdout. guest-abi/conformance/README.md has both forms, and an example.

\b
Examples:
  alga-runner conformance
  alga-runner conformance --only 'pointers/*'
  alga-runner conformance --slow
  alga-runner conformance --host 'python my_adapter.py' --json

Exit status: 0 when every case passed, 1 when one failed or the host could not be started, 2 for bad usage.
"""


@click.command(help=_HELP, short_help="Probe a host with guests for every rule of the guest ABI.")
@click.option("--host", "host", metavar="COMMAND", help="The command of another host's adapter.")
@click.option("--only", metavar="PATTERN", help="Cases whose name has this in it; * fits anything.")
@click.option("--slow", is_flag=True, help="Also the cases that take seconds, or many megabytes.")
@click.option("--list", "listed", is_flag=True, help="Print the cases' names and rules, and run none.")
@json_option
@click.pass_context
def conformance(
    ctx: click.Context, *, host: str | None, only: str | None, slow: bool, listed: bool, as_json: bool
) -> None:
    """See ``_HELP``."""
    cases = load("alga_runner.cli.conformance.kit:pick")(
        load("alga_runner.cli.conformance.kit:load_cases")(), only
    )
    cases = [case for case in cases if slow or listed or not case.slow]
    if not cases:
        raise click.BadParameter(f"no case has a name like {only!r}.", param_hint="'--only'")
    if listed:
        load("alga_runner.cli.conformance.report:print_list")(cases, as_json=as_json)
        return
    passed = load("alga_runner.cli.conformance.report:conformance")(cases, host=host, as_json=as_json)
    ctx.exit(0 if passed else 1)
