"""The demonstration, step by step."""

from __future__ import annotations

from time import perf_counter

import httpx

from alga_common.cli.page import Page

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
"""Each takes the stage, and raises ``Failure`` when something does not hold."""

_ANSWER_S = 60.0


def play() -> None:
    """Run the demonstration and print it. Raises ``Failure``, or an ``AlgaError`` when it cannot start."""
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
            stage.title("Both are asked to end")
            stage.expect(pair.stop(), (0, 0), "The exit statuses of server and runner")
            stage.held("both ended by themselves")
    page.line()
    page.line(f"Every step held. It took {perf_counter() - begun:.1f} s.", style="bold green")
