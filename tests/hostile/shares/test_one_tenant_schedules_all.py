"""One tenant's schedules are due by the dozen and their guests wait; another one's of the same minute all run in time.

Order and counts are compared; the server's clock is moved by hand. Both services are in this process and reach each
other over sockets.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from datetime import timedelta
from pathlib import Path
from typing import Any

import anyio
import anyio.lowlevel
import pytest

from alga_server import ManualClock
from tests.support.bundles import make_archive, manifest_api
from tests.support.deployment import Deployment, Install, deployed
from tests.support.firing import HOURLY, settle
from tests.support.guests import LIST_IMPORT, guest_wat
from tests.support.patience import PATIENCE_S

pytestmark = pytest.mark.anyio

PLACES, OF_A_TENANT = 8, 6
GREEDY, MODEST = 12, 8
"""How many schedules are due of either."""

ANSWER = "(call $respond (i32.const 0) (global.get $ok))"
WAIT = f"(drop (call $list (i32.const 1024) (i32.const 1) (i32.const 0) (i32.const 0))) {ANSWER}"
SETTINGS = {
    "dispatch_schedules": True,
    "max_schedule_runs": PLACES,
    "max_schedules_per_install": GREEDY,
    "schedule_changes_burst": GREEDY,
}


async def scheduled(deployment: Deployment, tenant: str, handler: str, count: int) -> Install:
    """Install a guest with so many hourly schedules; a time of theirs that is missed is not made up."""
    archive = make_archive(
        guest_wat(handler, imports=LIST_IMPORT, data=b"\x80"),
        name=f"com.example.{tenant}",
        capabilities=["cap:scheduler.manage"],
        api=manifest_api("POST /run"),
    )
    install = await deployment.install(await deployment.publish(archive), tenant)
    for _ in range(count):
        await deployment.admin(
            "POST",
            f"tenants/{tenant}/installs/{install.id}/schedules",
            json={"endpoint": "/run", "cron": HOURLY, "missedRuns": "skip"},
        )
    return install


async def ended(install: Install, count: int) -> list[dict[str, Any]]:
    """The install's first runs, once so many have ended."""
    while len(runs := [run for run in await install.runs() if run["finishedAt"]]) < count:
        await anyio.lowlevel.checkpoint()
    return runs


async def until(condition: Callable[[], bool]) -> None:
    while not condition():
        await anyio.lowlevel.checkpoint()


async def test_runs_that_wait_in_every_place_of_their_tenant_have_no_other_one_s_run_late(
    tmp_path: Path,
) -> None:
    async with deployed(tmp_path, of_server=SETTINGS) as deployment:
        greedy = await scheduled(deployment, "greedy", WAIT, GREEDY)
        modest = await scheduled(deployment, "modest", ANSWER, MODEST)
        clock = deployment.server._services.clock
        assert isinstance(clock, ManualClock)
        with anyio.fail_after(PATIENCE_S):
            with deployment.outages.held():
                clock.advance(timedelta(hours=1))
                in_time = await ended(modest, MODEST)
                await until(lambda: deployment.outages.waiting == OF_A_TENANT)
                for _ in range(4 * 7):  # minutes, in which the server looks every fifteen seconds
                    clock.advance(timedelta(seconds=15))
                    await settle(deployment.server)
                waiting = deployment.outages.waiting
            others = await ended(greedy, GREEDY)

    assert Counter((run["status"], run["reason"], run["startedAt"]) for run in in_time) == {
        ("success", None, in_time[0]["dueAt"]): MODEST
    }
    assert waiting == OF_A_TENANT
    assert Counter((run["status"], run["reason"]) for run in others) == {
        ("success", None): OF_A_TENANT,
        ("success", "late"): GREEDY - OF_A_TENANT,
    }, "what waited for room was not missed"
