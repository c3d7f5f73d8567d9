"""Guests that grow without a pause get what their tenant may have, and another tenant's get all they ask for."""

from __future__ import annotations

from collections.abc import AsyncIterator

import anyio
import anyio.lowlevel
import pytest

from alga_common.system.memory import anonymous_bytes
from alga_runner import Observation, Runner, Settings
from alga_runner.bundles import MemoryBundles
from alga_runner.settings import MIB
from tests.support.alga import HoldingAlga
from tests.support.bundles import make_bundle
from tests.support.guests import LIST_IMPORT, guest_wat
from tests.support.patience import PATIENCE_S
from tests.support.requests import execute_request

pytestmark = [pytest.mark.anyio, pytest.mark.processes]

ROOM_MB = 400
EACH_MB = 64
MANY = 8
"""Guests that would have more than there is room for, and each computes as long as it grows."""
WAITS = "(drop (call $list (i32.const 1024) (i32.const 1) (i32.const 2048) (i32.const 1024)))"
ANSWERS = "(call $respond (i32.const 0) (global.get $ok))"


def growing(megabytes: int, then: str) -> str:
    """A guest that grows by a megabyte and fills it, so many times; where it gets no more it traps."""
    grow = f"""(local $left i32) (local $at i32) (local.set $left (i32.const {megabytes}))
      (block $short (loop $more
        (local.set $at (memory.grow (i32.const 16)))
        (br_if $short (i32.eq (local.get $at) (i32.const -1)))
        (memory.fill (i32.shl (local.get $at) (i32.const 16)) (i32.const 1) (i32.const {MIB}))
        (br_if $more (local.tee $left (i32.sub (local.get $left) (i32.const 1))))))"""
    trap = "(if (local.get $left) (then unreachable))"
    return guest_wat(f"{grow} {then} {trap} {ANSWERS}", imports=LIST_IMPORT, data=b"\xc0")


@pytest.fixture
def alga() -> HoldingAlga:
    return HoldingAlga()


@pytest.fixture
async def runner(alga: HoldingAlga, bundles: MemoryBundles) -> AsyncIterator[Runner]:
    settings = Settings(
        max_guests=2 * MANY,
        max_guests_per_tenant=MANY,
        max_memory_mb=EACH_MB + 1,
        default_timeout_ms=300_000,
        default_cpu_ms=60_000,
        max_process_memory_mb=anonymous_bytes() // MIB + ROOM_MB,
    )
    async with Runner(settings, alga=alga, bundles=bundles) as runner:
        yield runner


async def test_guests_that_grow_without_a_pause_are_stopped_and_another_tenant_s_get_their_memory(
    runner: Runner, alga: HoldingAlga, bundles: MemoryBundles
) -> None:
    attack, call = (
        bundles.add(make_bundle(growing(megabytes, then))) for megabytes, then in ((EACH_MB, WAITS), (4, ""))
    )
    attacks: list[Observation] = []
    seen = 0

    async def attacker() -> None:
        request = execute_request(attack, tenant="attacker", providers=["cap:scheduler.manage"])
        attacks.append(await runner.observe(request))

    with anyio.fail_after(PATIENCE_S):
        async with anyio.create_task_group() as tasks:
            for _ in range(MANY):
                tasks.start_soon(attacker)
            while len(alga.asked) + len(attacks) < MANY:
                seen = max(seen, anonymous_bytes())
                await anyio.lowlevel.checkpoint()
            calls = [await runner.observe(execute_request(call, tenant="victim")) for _ in range(5)]
            alga.let_go()

    errors = [observation.error for observation in attacks if observation.error is not None]
    assert len(errors) > 1, "some were kept from growing"
    assert {error.code for error in errors} == {"memory_shortage"}
    assert all("could not grow" in str(error) for error in errors), "none was ended by the runner"
    assert [observation.error for observation in calls] == [None] * 5
    assert runner.settings.max_process_memory_mb is not None
    assert seen < runner.settings.max_process_memory_mb * MIB
