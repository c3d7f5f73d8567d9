"""One tenant takes all it can get of a server and a runner, and another one is answered as if it were alone.

Order and counts are compared, no times. Both services are in this process and reach each other over sockets.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import anyio
import anyio.lowlevel
import pytest

from alga_common.system.memory import anonymous_bytes
from alga_runner.settings import MIB
from tests.support.bundles import make_archive, manifest_api
from tests.support.deployment import Deployment, Install, deployed
from tests.support.guests import LIST_IMPORT, guest_wat
from tests.support.patience import PATIENCE_S

pytestmark = pytest.mark.anyio

LIST = "(drop (call $list (i32.const 1024) (i32.const 1) (i32.const 0) (i32.const 0)))"
ANSWER = "(call $respond (i32.const 0) (global.get $ok))"
FOREVER, ONCE = f"(loop $again {LIST} (br $again))", f"{LIST} {ANSWER}"
QUARTER_OF = 4
PLACES = 16
"""Concurrent calls of the runner; a quarter is for schedules, and of either kind a quarter for each tenant."""


class Tenants:
    """The attacker's install and the victim's, and whose calls were answered, in order."""

    def __init__(self, deployment: Deployment, attacker: Install, victim: Install) -> None:
        self.deployment, self.attacker, self.victim = deployment, attacker, victim
        self.answered: list[str] = []

    async def attack(self, **options: Any) -> int:
        """One call of the attacker; its status."""
        response = await self.attacker.call("POST", "/run", **options)
        self.answered.append("attacker")
        return response.status_code

    async def ask(self) -> None:
        """One call of the victim, which has to succeed."""
        response = await self.victim.call("POST", "/run")
        assert response.status_code == 200, response.text
        self.answered.append("victim")


@asynccontextmanager
async def tenants(folder: Path, attack: str, **settings: Any) -> AsyncIterator[Tenants]:
    """Deploy both services, and install a guest that attacks so, and one that answers."""
    async with deployed(folder, **settings) as deployment:
        installs = []
        for tenant, handler in (("attacker", attack), ("victim", ANSWER)):
            archive = make_archive(
                guest_wat(handler, imports=LIST_IMPORT, data=b"\x80"),
                name=f"com.example.{tenant}",
                capabilities=["cap:scheduler.manage"],
                api=manifest_api("POST /run"),
            )
            installs.append(await deployment.install(await deployment.publish(archive), tenant))
        yield Tenants(deployment, *installs)


async def until(condition: Callable[[], bool]) -> None:
    while not condition():
        await anyio.lowlevel.checkpoint()


@pytest.mark.processes
async def test_a_tenant_that_lists_megabytes_without_end_reads_a_page_at_a_time_and_others_go_on(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with tenants(tmp_path, FOREVER) as both:
        for _ in range(4):
            await both.deployment.admin(
                "POST",
                f"tenants/attacker/installs/{both.attacker.id}/schedules",
                json={"endpoint": "/run", "cron": "0 4 1 1 *", "payload": [{"a": 1}] * 11_000},
            )
        await both.ask()
        reads = Reads(both, monkeypatch)
        before = anonymous_bytes()

        with anyio.fail_after(PATIENCE_S):
            async with anyio.create_task_group() as attackers:
                for _ in range(6):
                    attackers.start_soon(both.attack)
                await until(lambda: reads.count > 20)
                reads.most, begun = 0, reads.count
                while reads.count < begun + 10:
                    start = reads.count
                    await both.ask()
                    reads.during_a_call.append(reads.count - start)
                attackers.cancel_scope.cancel()

    assert set(both.answered) == {"victim"}
    assert reads.most == 1, "once its reads are known to be large, a tenant makes one at a time"
    assert sorted(reads.during_a_call)[len(reads.during_a_call) // 2] <= 3, (
        "half of the calls wait for few of them"
    )
    assert anonymous_bytes() - before < 100 * MIB


class Reads:
    """Counts the attacker's reads of the database, and the most that were under way concurrently."""

    def __init__(self, both: Tenants, monkeypatch: pytest.MonkeyPatch) -> None:
        self.count = self.most = self._under_way = 0
        self.during_a_call: list[int] = []
        turns = both.deployment.server._services.turns
        of = turns.of

        @asynccontextmanager
        async def counted(tenant_id: str, **options: Any) -> AsyncIterator[Any]:
            async with of(tenant_id, **options) as charge:
                self.count += 1
                self._under_way += 1
                self.most = max(self.most, self._under_way)
                try:
                    yield charge
                finally:
                    self._under_way -= 1

        monkeypatch.setattr(turns, "of", counted)


async def test_a_tenant_whose_guests_all_wait_keeps_no_place_from_another_one_s_call_or_schedule(
    tmp_path: Path,
) -> None:
    settings = {"max_runner_calls": PLACES, "dispatch_schedules": False}
    async with tenants(tmp_path, ONCE, of_server=settings) as both:
        schedule = await both.deployment.admin(
            "POST",
            f"tenants/victim/installs/{both.victim.id}/schedules",
            json={"endpoint": "/run", "cron": "0 * * * *"},
        )
        with both.deployment.outages.held(), anyio.fail_after(PATIENCE_S):
            async with anyio.create_task_group() as attackers:
                for _ in range(PLACES):
                    attackers.start_soon(both.attack)
                await until(lambda: both.deployment.outages.waiting == PLACES // QUARTER_OF * 3 // QUARTER_OF)

                await both.ask()
                run = await both.deployment.admin(
                    "POST", f"tenants/victim/installs/{both.victim.id}/schedules/{schedule['id']}/run-now"
                )
                at_once = list(both.answered)
                attackers.cancel_scope.cancel()

    assert "victim" in at_once
    assert run["status"] == "success"


async def test_a_tenant_with_bodies_under_way_leaves_room_for_another_one_s(tmp_path: Path) -> None:
    largest, statuses = 64 * 1024, list[int]()
    settings = {"max_gateway_body_bytes": largest, "max_gateway_bytes": 8 * largest}
    async with tenants(tmp_path, ONCE, of_server=settings) as both:

        async def attack() -> None:
            statuses.append(await both.attack(json="a" * (largest - 2)))

        with both.deployment.outages.held(), anyio.fail_after(PATIENCE_S):
            async with anyio.create_task_group() as attackers:
                for _ in range(6):
                    attackers.start_soon(attack)
                await until(lambda: len(statuses) == 4 and both.deployment.outages.waiting == 2)
                response = await both.victim.call("POST", "/run", json="a" * (largest - 2))
                attackers.cancel_scope.cancel()

    assert statuses == [429] * 4, "a quarter of the bytes is two bodies"
    assert response.status_code == 200
