"""Which programs stay loaded: the shares of tenants, the totals, and modules that several share."""

from __future__ import annotations

from collections.abc import AsyncIterator
from random import Random
from typing import Any, cast

import anyio
import pytest
from anyio.abc import TaskGroup

from alga_runner.execution.program_cache import CacheBounds, Kept, Key, ProgramCache, SharedModule
from alga_runner.guests import Program

pytestmark = pytest.mark.anyio

MANY_FILES = 1_000


@pytest.fixture
async def tasks() -> AsyncIterator[TaskGroup]:
    async with anyio.create_task_group() as tasks:
        yield tasks


def a_module(size: int = 0, files: int = 1) -> SharedModule:
    return SharedModule(cast("Program", object()), size, files)


def at(tenant: str, number: int = 0) -> Key:
    return (tenant, "ext", f"sha256:{number}")


async def put(cache: ProgramCache, key: Key, size: int = 10, module: SharedModule | None = None) -> Any:
    async def load() -> Kept:
        return Kept(cast("Program", object()), module or a_module(), size)

    return await cache.get(key, load)


def loaded(cache: ProgramCache, *keys: Key) -> list[Key]:
    return [key for key in keys if cache.loaded(key) is not None]


async def test_a_tenant_with_more_than_a_quarter_loses_a_program_of_its_own(tasks: TaskGroup) -> None:
    cache = ProgramCache(tasks, CacheBounds(100, MANY_FILES))
    await put(cache, at("quiet"))
    for number in range(3):
        await put(cache, at("loud", number))

    kept = loaded(cache, at("quiet"), *(at("loud", number) for number in range(3)))
    assert kept[0] == at("quiet")
    assert kept[-1] == at("loud", 2)
    assert len(kept) == 3


async def test_beyond_the_total_programs_in_use_stay(tasks: TaskGroup) -> None:
    cache = ProgramCache(tasks, CacheBounds(20 * 10, MANY_FILES), Random(7))
    in_use = [at(f"in-use-{number}") for number in range(4)]
    for key in in_use:
        await put(cache, key)

    for number in range(200):
        loaded(cache, *in_use)
        await put(cache, at(f"once-{number}"))

    assert loaded(cache, *in_use) == in_use


@pytest.mark.parametrize("times", [1.1, 1.5])
async def test_calls_in_a_circle_of_more_programs_than_fit_hit_many_loaded(
    tasks: TaskGroup, times: float
) -> None:
    cache = ProgramCache(tasks, CacheBounds(200 * 10, MANY_FILES), Random(7))
    circle = [at(f"tenant-{number}") for number in range(int(200 * times))]
    hits = 0
    for _ in range(5):
        hits = 0
        for key in circle:
            hits += cache.loaded(key) is not None
            await put(cache, key)

    assert hits > len(circle) / 3


async def test_one_program_is_kept_however_large_it_is(tasks: TaskGroup) -> None:
    cache = ProgramCache(tasks, CacheBounds(100, MANY_FILES))

    await put(cache, at("acme"), 5_000)

    assert loaded(cache, at("acme")) == [at("acme")]


async def test_open_files_are_bounded_as_bytes_are(tasks: TaskGroup) -> None:
    cache = ProgramCache(tasks, CacheBounds(1_000_000, 8))
    for number in range(3):
        await put(cache, at("loud", number))

    kept = loaded(cache, *(at("loud", number) for number in range(3)))
    assert kept[-1] == at("loud", 2)
    assert len(kept) == 2


async def test_a_module_that_many_tenants_have_counts_once(tasks: TaskGroup) -> None:
    cache = ProgramCache(tasks, CacheBounds(100, 8))
    module = a_module(20)
    tenants = [f"tenant-{number}" for number in range(8)]
    for tenant in tenants:
        await put(cache, at(tenant), 10, module)

    assert loaded(cache, *map(at, tenants)) == [*map(at, tenants)]


async def test_a_module_is_loaded_once_while_a_program_has_it_and_again_afterwards(tasks: TaskGroup) -> None:
    cache = ProgramCache(tasks, CacheBounds(100, MANY_FILES))
    loads = 0

    async def load() -> SharedModule:
        nonlocal loads
        loads += 1
        return a_module()

    async def load_program() -> Kept:
        return Kept(cast("Program", object()), await cache.module("digest", load), 10)

    for tenant in ("one", "two"):
        await cache.get(at(tenant), load_program)
    assert loads == 1

    for number in range(100):
        await put(cache, at(f"tenant-{number}"), 10)
    await cache.get(at("one"), load_program)

    assert loads == 2


async def test_half_of_the_programs_makes_room(tasks: TaskGroup) -> None:
    cache = ProgramCache(tasks, CacheBounds(100, MANY_FILES))
    tenants = [f"tenant-{number}" for number in range(5)]
    for tenant in tenants:
        await put(cache, at(tenant))

    cache.drop_half()

    assert len(loaded(cache, *map(at, tenants))) == 2


async def test_a_failed_load_is_tried_again(tasks: TaskGroup) -> None:
    cache = ProgramCache(tasks, CacheBounds(100, MANY_FILES))

    async def fail() -> Kept:
        raise OSError("first")

    with pytest.raises(OSError, match="first"):
        await cache.get(at("acme"), fail)
    await put(cache, at("acme"))

    assert loaded(cache, at("acme")) == [at("acme")]
