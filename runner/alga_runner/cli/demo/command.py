"""The order of the steps.

``alga-runner demo``: the main job from end to end, over real sockets.
"""

from __future__ import annotations

from time import perf_counter

import click
import httpx

from ..page import Page
from .counters import show_counters
from .pair import started
from .processes import Signals
from .refusals import break_rules, cross_tenants, lack_the_grant, steal_a_token
from .stage import Stage
from .steps import change_interval, clean_up, fire, install, set_up, show_schedules

STEPS = (
    install,
    set_up,
    show_schedules,
    change_interval,
    fire,
    break_rules,
    cross_tenants,
    lack_the_grant,
    steal_a_token,
    clean_up,
    show_counters,
)
"""Each takes the stage, and raises ``Failed`` when something does not hold."""

_ANSWER_S = 60.0


def play() -> None:
    """Run the demonstration and print it. Raises ``Failed``, or an ``AlgaError`` when it cannot start."""
    page = Page()
    begun = perf_counter()
    signals = Signals()
    with signals.obeyed():
        page.line("An Alga server and a runner start, as processes of their own", style="bold")
        with started(signals) as pair:
            page.line(f"  $ {pair.server.command}")
            page.line(f"  $ {pair.runner.command}")
            pair.wait_until_they_answer()
            with httpx.Client(timeout=_ANSWER_S, trust_env=False) as http:
                stage = Stage(pair, page, http)
                stage.held("both answer")
                for step in STEPS:
                    step(stage)
            stage.title("Both are told to end")
            stage.expect(pair.stop(), (0, 0), "The exit statuses of server and runner")
            stage.held("both ended by themselves")
    page.line()
    page.line(f"Every step held. It took {perf_counter() - begun:.1f} s.", style="bold green")


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
    from . import play  # noqa: PLC0415 - the engine and the server come with it

    play()
