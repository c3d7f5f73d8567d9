"""A tenant has all the archives unpacked and modules described that it can, and another one's call goes ahead."""

from __future__ import annotations

import threading
from collections.abc import AsyncIterator, Callable
from functools import partial
from pathlib import Path
from typing import Any

import anyio
import anyio.to_thread
import pytest

from alga_common.fair_limiter import share
from alga_runner import Runner, Settings
from alga_runner.bundles import FolderBundles
from alga_runner.engine import Module
from alga_runner.guests import Host, Program
from alga_runner.models import content_hash
from alga_runner.models.archive import MAX_UNPACKING_BYTES, unpack, unpacking_bytes
from tests.support.bundles import make_archive
from tests.support.guests import guest_wat
from tests.support.patience import PATIENCE_S, PATIENT
from tests.support.requests import execute_request

pytestmark = pytest.mark.anyio

MANY = 6


class Held:
    """Calls of a function by threads, which all wait until they may ``go_on``."""

    def __init__(self, function: Callable[..., Any]) -> None:
        self._function = function
        self.begun = 0
        self.go_on = threading.Event()
        self._more = threading.Semaphore(0)

    def __call__(self, *arguments: Any, **options: Any) -> Any:
        self.begun += 1
        self._more.release()
        assert self.go_on.wait(PATIENCE_S)
        return self._function(*arguments, **options)

    async def begin(self, count: int) -> None:
        """Wait until that many more have begun."""
        for _ in range(count):
            assert await anyio.to_thread.run_sync(partial(self._more.acquire, timeout=PATIENCE_S))


class Calls:
    """Archives in the folder that the runner reads, each executed once; ``ended`` are tenants, in order."""

    def __init__(self, runner: Runner, folder: Path) -> None:
        self.runner, self._folder = runner, folder
        self.ended: list[str] = []

    async def call(self, tenant: str, number: int = 0) -> None:
        archive = make_archive(guest_wat(module=f'(data "{tenant} {number}")'))
        path = self._folder / FolderBundles.key(tenant, "ext", content_hash(archive))
        path.parent.mkdir(parents=True)
        path.write_bytes(archive)
        observation = await self.runner.observe(execute_request(content_hash(archive), tenant=tenant))
        assert observation.error is None, observation.error.code
        self.ended.append(tenant)

    async def attacked(self, held: Held, at_once: int) -> None:
        """Have a tenant call many at the same time, of which ``at_once`` begin, and another one, whose begins, too."""
        with anyio.fail_after(PATIENCE_S):
            async with anyio.create_task_group() as tasks:
                for number in range(MANY):
                    tasks.start_soon(self.call, "attacker", number)
                await held.begin(at_once)
                tasks.start_soon(self.call, "victim")
                await held.begin(1)
                begun = held.begun
                held.go_on.set()
        assert begun == at_once + 1
        assert len(self.ended) == MANY + 1


@pytest.fixture
async def calls(tmp_path: Path) -> AsyncIterator[Calls]:
    async with Runner(Settings(bundle_store=str(tmp_path), **PATIENT)) as runner:
        yield Calls(runner, tmp_path)


async def test_archives_are_unpacked_in_their_tenant_s_bytes_and_another_one_s_is_not_kept_waiting(
    calls: Calls, monkeypatch: pytest.MonkeyPatch
) -> None:
    held = Held(unpack)
    monkeypatch.setattr("alga_runner.bundles.bundle.unpack", held)

    await calls.attacked(held, share(MAX_UNPACKING_BYTES) // unpacking_bytes(1024))


async def test_modules_are_described_two_at_a_time_of_one_tenant_and_another_one_s_is_not_kept_waiting(
    calls: Calls, monkeypatch: pytest.MonkeyPatch
) -> None:
    held = Held(Host.link)

    def link(host: Host, module: Module, wasm: bytes) -> Program:
        linked: Program = held(host, module, wasm)
        return linked

    monkeypatch.setattr(Host, "link", link)
    # No work counts as large: an owner of such would do one piece at a time, and on a slow machine this one's is.
    monkeypatch.setattr("alga_common.sharing.large_work._LARGE_S", PATIENCE_S)

    await calls.attacked(held, 2)


async def test_more_loads_than_a_tenant_may_have_under_way_are_refused_and_another_tenant_s_is_not(
    calls: Calls, monkeypatch: pytest.MonkeyPatch
) -> None:
    held = Held(unpack)
    monkeypatch.setattr("alga_runner.bundles.bundle.unpack", held)
    monkeypatch.setattr("alga_runner.execution.programs.MAX_TENANT_LOADS", MANY)

    async def refused() -> None:
        with pytest.raises(AssertionError, match="overloaded"):
            await calls.call("attacker", MANY)
        await calls.call("victim")

    with anyio.fail_after(PATIENCE_S):
        async with anyio.create_task_group() as tasks:
            for number in range(MANY):
                tasks.start_soon(calls.call, "attacker", number)
            await held.begin(2)
            tasks.start_soon(refused)
            await held.begin(1)
            held.go_on.set()

    assert sorted(calls.ended) == ["attacker"] * MANY + ["victim"]
    assert not calls.runner._programs._loads
