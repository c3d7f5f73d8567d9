"""A tenant loads all the modules it can, and another one's stays loaded."""

from __future__ import annotations

from collections.abc import AsyncIterator

import pytest

from alga_runner import Observation, Runner, Settings
from alga_runner.bundles import MemoryBundles
from tests.support.bundles import make_bundle
from tests.support.guests import guest_wat
from tests.support.requests import execute_request

pytestmark = pytest.mark.anyio

LOADED_MB = 1
MANY = 40
"""Modules: more than there is room for, by far, and each takes an eighth of a megabyte at least."""


@pytest.fixture
async def runner(bundles: MemoryBundles, settings: Settings) -> AsyncIterator[Runner]:
    async with Runner(settings.model_copy(update={"max_loaded_mb": LOADED_MB}), bundles=bundles) as runner:
        yield runner


async def call(runner: Runner, bundles: MemoryBundles, tenant: str, guest: str) -> Observation:
    return await runner.observe(execute_request(bundles.add(make_bundle(guest)), tenant=tenant))


async def test_a_tenant_with_more_modules_than_there_is_room_for_unloads_its_own(
    runner: Runner, bundles: MemoryBundles
) -> None:
    await call(runner, bundles, "victim", guest_wat())
    program = runner._programs.loaded("victim", "ext", bundles.add(make_bundle(guest_wat())))

    for number in range(MANY):
        observation = await call(runner, bundles, "attacker", guest_wat(module=f'(data "{number}")'))
        assert observation.error is None

    assert program is not None
    assert runner._programs.loaded("victim", "ext", bundles.add(make_bundle(guest_wat()))) is program


async def test_long_names_count_twice_in_the_code_and_in_what_wasmtime_keeps(
    runner: Runner, bundles: MemoryBundles
) -> None:
    names = 1_000
    exports = "".join(f'(export "{number:0200}" (func $f))' for number in range(names))
    await call(runner, bundles, "attacker", guest_wat())
    before = runner._programs._cache._all.bytes

    await call(runner, bundles, "other", guest_wat(module=f"(func $f) {exports}"))

    assert runner._programs._cache._all.bytes - before > 2 * names * 200
