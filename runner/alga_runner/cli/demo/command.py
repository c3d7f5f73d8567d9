"""``alga-runner demo``: the main job from end to end, over real sockets."""

from __future__ import annotations

import click

from alga_common.cli.commands import load

_HELP = """See an extension manage its own schedules and be called by them, and be refused where it may not.

An Alga server and a runner with two workers start on this machine, on ports that are free. Three tenants install the
sample extension scheduler-demo: acme and initech are granted cap:scheduler.manage, globex is not. Called through the
gateway, the extension sets up its schedules and changes one; the server's clock moves on and the schedule fires. Then
it tries what it must not do, and cleans up. Every step checks what it shows; the counters of both processes end it.

Nothing is left: no process, no port, no file, however it ends.

\b
Example:
  alga-runner demo

Exit status: 0 when every step held, 1 when one did not, 130 after Ctrl-C.
"""


@click.command(help=_HELP, short_help="See an extension manage its schedules, over real sockets.")
def demo() -> None:
    """See ``_HELP``."""
    load("alga_runner.cli.demo.play:play")()
