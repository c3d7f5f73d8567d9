"""A tenant has all the modules compiled that it can, slow and large ones, and another tenant's small one goes ahead."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable

import anyio
import anyio.lowlevel
import pytest

from alga_runner import Runner, Settings
from alga_runner.bundles import Bundle, MemoryBundles
from alga_runner.engine import Module, ModuleLoader
from alga_runner.engine.component.component import Component
from alga_runner.execution import programs
from tests.support.bundles import make_bundle
from tests.support.guests import guest_wat
from tests.support.patience import PATIENCE_S
from tests.support.requests import execute_request

pytestmark = pytest.mark.anyio

LARGE = 4 * 1024
MANY = 6


class Calls:
    """Executions under way; ``ended`` are the tenants whose ended, in order."""

    def __init__(self, runner: Runner, bundles: MemoryBundles) -> None:
        self.runner, self._bundles = runner, bundles
        self.ended: list[str] = []

    async def call(self, tenant: str, guest: str | bytes) -> None:
        request = execute_request(
            self._bundles.add(make_bundle(guest)), tenant=tenant, limits={"timeout_ms": 300_000}
        )
        await self.runner.observe(request)
        self.ended.append(tenant)


@pytest.fixture
async def calls(bundles: MemoryBundles) -> AsyncIterator[Calls]:
    settings = Settings(code_cache="off", max_module_bytes=LARGE)
    async with Runner(settings, bundles=bundles) as runner:
        yield Calls(runner, bundles)


async def until(condition: Callable[[], bool]) -> None:
    with anyio.fail_after(PATIENCE_S):
        while not condition():
            await anyio.lowlevel.checkpoint()


@pytest.mark.processes
async def test_a_small_module_is_compiled_before_another_tenant_s_slow_ones(
    calls: Calls, slow_module: Callable[[int], bytes]
) -> None:
    queue = calls.runner._programs._modules._compiler._queue
    async with anyio.create_task_group() as tasks:
        for number in range(MANY):
            tasks.start_soon(calls.call, "attacker", slow_module(200 + number))
        await until(lambda: queue._runs("attacker") == 2 and queue._waits("attacker") == MANY - 2)

        await calls.call("victim", guest_wat())
        at_once = list(calls.ended)
        tasks.cancel_scope.cancel()

    assert at_once == ["victim"]


async def test_large_modules_that_wait_for_a_place_are_not_in_memory_and_another_tenant_s_goes_ahead(
    calls: Calls, bundles: MemoryBundles, monkeypatch: pytest.MonkeyPatch
) -> None:
    go_on, fetched, loading = anyio.Event(), list[str](), list[str]()
    fetch, load = MemoryBundles.fetch, ModuleLoader.load

    async def counted(source: MemoryBundles, tenant: str, extension: str, content_hash: str) -> Bundle:
        fetched.append(tenant)
        return await fetch(source, tenant, extension, content_hash)

    async def held(loader: ModuleLoader, wasm: bytes, owner: str, digest: str = "") -> Module | Component:
        loading.append(owner)
        if owner == "attacker":
            await go_on.wait()
        return await load(loader, wasm, owner, digest)

    monkeypatch.setattr(programs, "_SMALL_BYTES", 0)
    monkeypatch.setattr(MemoryBundles, "fetch", counted)
    monkeypatch.setattr(ModuleLoader, "load", held)
    large = [guest_wat(module=f'(data "{number}{"." * (LARGE - 400)}")') for number in range(MANY)]
    with anyio.fail_after(PATIENCE_S):
        async with anyio.create_task_group() as tasks:
            for guest in large:
                tasks.start_soon(calls.call, "attacker", guest)
            await until(lambda: fetched.count("attacker") == MANY and bool(loading))
            await calls.call("victim", guest_wat())
            at_once = list(loading)
            go_on.set()

    assert at_once == ["attacker", "victim"], "a tenant has room for one of the largest"
    assert fetched.count("attacker") == MANY + MANY - 1, "the others were dropped, and fetched again"
    assert len(calls.ended) == MANY + 1
