"""``alga-runner demo``: the main job from end to end, in one process."""

from __future__ import annotations

import click

_HELP = """See an extension manage its own schedules, where it may, and be refused where it may not.

Three tenants install the sample extension scheduler-demo on an Alga server in memory: acme and initech are granted
cap:scheduler.manage, globex is not. The extension sets up its schedules, changes one, tries what it must not do, and
cleans up. Every step checks what it shows; the calls are counted at the end.

\b
Example:
  alga-runner demo

Exit status: 0 when every step held, 1 when one did not.
"""


@click.command(help=_HELP, short_help="See an extension manage its schedules, allowed and refused.")
def demo() -> None:
    """See ``_HELP``."""
    from .demo import play  # noqa: PLC0415 - the engine and the server come with it

    play()
