"""Guests that fill memory and wait meet the process's total: theirs end, and other tenants' go on."""

from __future__ import annotations

from collections.abc import AsyncIterator

import anyio
import anyio.lowlevel
import pytest

from alga_common.system.memory import anonymous_bytes
from alga_runner import Observation, Runner, Settings
from alga_runner.bundles import MemoryBundles
from alga_runner.errors import Overloaded
from alga_runner.settings import MIB
from tests.support.alga import HoldingAlga
from tests.support.bundles import make_bundle
from tests.support.guests import LIST_IMPORT, guest_wat
from tests.support.patience import PATIENCE_S
from tests.support.requests import execute_request

pytestmark = pytest.mark.anyio

ROOM_MB = 160
EACH_MB = 48
MOST = 40
"""Guests: many more than there is room for, since a process that ran other tests gives memory back meanwhile."""
WAITS = "(drop (call $list (i32.const 1024) (i32.const 1) (i32.const 2048) (i32.const 1024)))"
ANSWERS = "(call $respond (i32.const 0) (global.get $ok))"


def filling(megabytes: int) -> str:
    """A guest that fills as much memory and waits for the Alga server."""
    grow = f"(drop (memory.grow (i32.const {megabytes * 16})))"
    fill = f"(memory.fill (i32.const 65536) (i32.const 1) (i32.const {megabytes * MIB}))"
    body = f"{grow} {fill}" if megabytes else ""
    return guest_wat(f"{body} {WAITS} {ANSWERS}", imports=LIST_IMPORT, data=b"\xc0")


@pytest.fixture
def alga() -> HoldingAlga:
    return HoldingAlga()


@pytest.fixture
async def runner(alga: HoldingAlga, bundles: MemoryBundles) -> AsyncIterator[Runner]:
    settings = Settings(
        max_guests=MOST,
        max_guests_per_tenant=MOST,
        max_memory_mb=64,
        default_timeout_ms=300_000,
        max_process_memory_mb=anonymous_bytes() // MIB + ROOM_MB,
    )
    async with Runner(settings, alga=alga, bundles=bundles) as runner:
        yield runner


class Calls:
    """Executions under way; ``ended`` are those that are not any more."""

    def __init__(self, runner: Runner, bundles: MemoryBundles, tasks: anyio.abc.TaskGroup) -> None:
        self._runner, self._bundles, self._tasks = runner, bundles, tasks
        self.ended: list[Observation] = []

    def start(self, tenant: str, megabytes: int) -> None:
        content_hash = self._bundles.add(make_bundle(filling(megabytes)))
        request = execute_request(content_hash, tenant=tenant, providers=["cap:scheduler.manage"])

        async def run() -> None:
            self.ended.append(await self._runner.observe(request))

        self._tasks.start_soon(run)

    def codes(self) -> set[str]:
        return {observation.error.code for observation in self.ended if observation.error is not None}


async def until(condition) -> int:
    """Wait until ``condition`` holds; the most memory that the process had meanwhile."""
    most = 0
    with anyio.fail_after(PATIENCE_S):
        while not condition():
            most = max(most, anonymous_bytes())
            await anyio.lowlevel.checkpoint()
    return most


async def test_the_tenant_with_the_most_memory_loses_its_largest_guests_and_others_go_on(
    runner: Runner, alga: HoldingAlga, bundles: MemoryBundles
) -> None:
    total = runner.settings.max_process_memory_mb * MIB
    async with anyio.create_task_group() as tasks:
        loud, quiet = (Calls(runner, bundles, tasks) for _ in range(2))
        quiet.start("quiet", 0)
        await until(lambda: alga.asked == ["quiet"])

        most = 0
        while "memory_shortage" not in loud.codes():
            before = len(alga.asked) + len(loud.ended)
            loud.start("loud", EACH_MB)
            most = max(most, await until(lambda b=before: len(alga.asked) + len(loud.ended) > b))
        assert quiet.ended == []
        alga.let_go()
        await until(lambda: len(quiet.ended) == 1)
        tasks.cancel_scope.cancel()

    assert quiet.ended[0].response is not None
    assert loud.codes() <= {"memory_shortage", "overloaded"}
    assert "memory_shortage" in loud.codes()
    assert most < total + 2 * 64 * MIB


async def test_while_memory_is_short_a_tenant_with_its_share_starts_no_more_and_another_does(
    runner: Runner, alga: HoldingAlga, bundles: MemoryBundles
) -> None:
    guard = runner._memory_guard
    guard._share = 40 * MIB  # far from the total, however much this process has
    async with anyio.create_task_group() as tasks:
        loud = Calls(runner, bundles, tasks)
        while "loud" not in guard.refused:
            waiting = len(alga.asked)
            loud.start("loud", 12)
            await until(lambda waiting=waiting: len(alga.asked) > waiting or loud.ended)
            guard.look()
            assert not loud.ended, loud.codes()

        with pytest.raises(Overloaded, match="its share is") as refused:
            guard.require_room("loud")
        guard.require_room("quiet")
        guard._total *= 2
        alga.let_go()
        await until(lambda: loud.ended)

    assert refused.value.of_tenant


async def test_a_guest_that_ends_since_its_memory_could_not_grow_says_so(
    runner: Runner, alga: HoldingAlga, bundles: MemoryBundles
) -> None:
    grows = f"(if (i32.eq (memory.grow (i32.const {EACH_MB})) (i32.const -1)) (then unreachable))"
    content_hash = bundles.add(
        make_bundle(guest_wat(f"{WAITS} {grows} {ANSWERS}", imports=LIST_IMPORT, data=b"\xc0"))
    )
    request = execute_request(content_hash, tenant="loud", providers=["cap:scheduler.manage"])
    ended: list[Observation] = []

    async def run() -> None:
        ended.append(await runner.observe(request))

    async with anyio.create_task_group() as tasks:
        tasks.start_soon(run)
        await until(lambda: alga.asked)
        for budget in runner._under_way:
            assert budget.guest is not None
            budget.guest.stop_growing()
        alga.let_go()

    error = ended[0].error
    assert error is not None
    assert error.code == "memory_shortage"
    assert "unreachable" in str(error)
