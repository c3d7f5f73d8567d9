"""The order of the steps."""

from __future__ import annotations

from time import perf_counter

import anyio

from ...capabilities.scheduler import CAPABILITY
from ...testing import EmbeddedAlga
from ..page import Page
from .counters import show_counters
from .refusals import break_rules, cross_tenants, lack_the_grant
from .sample import sample_path
from .stage import Stage
from .steps import change_interval, clean_up, set_up, show_schedules

STEPS = (
    set_up,
    show_schedules,
    change_interval,
    break_rules,
    cross_tenants,
    lack_the_grant,
    clean_up,
    show_counters,
)
"""Each takes the stage, and raises ``Failed`` when something does not hold."""


def play() -> None:
    """Run the demonstration and print it. Raises ``Failed``, or an ``AlgaError`` when it cannot start."""
    anyio.run(_play)


async def _play() -> None:
    page = Page()
    started = perf_counter()
    sample = sample_path()
    async with EmbeddedAlga() as alga:
        stage = Stage(
            alga,
            page,
            acme=await alga.install(sample, tenant_id="acme", grants=[CAPABILITY]),
            globex=await alga.install(sample, tenant_id="globex"),
            initech=await alga.install(sample, tenant_id="initech", grants=[CAPABILITY]),
        )
        manifest = stage.acme.manifest
        page.line(f"Three tenants install {manifest.name} {manifest.version}", style="bold")
        for installed in (stage.acme, stage.initech):
            grants = (await installed.show())["grants"]
            stage.expect(grants, [CAPABILITY], f"What {installed.tenant_id} is granted")
            stage.held(f"{installed.tenant_id} is granted {CAPABILITY}")
        stage.expect((await stage.globex.show())["grants"], [], "What globex is granted")
        stage.held("globex is granted nothing")
        for step in STEPS:
            await step(stage)
    page.line()
    page.line(f"Every step held. It took {perf_counter() - started:.1f} s.", style="bold green")
