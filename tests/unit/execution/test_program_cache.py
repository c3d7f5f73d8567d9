"""Which programs stay loaded: the shares of tenants, the totals, and modules that several share."""

from __future__ import annotations

from collections.abc import AsyncIterator
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


def key(tenant: str, number: int = 0) -> Key:
    return (tenant, "ext", f"sha256:{number}")


async def put(cache: ProgramCache, at: Key, size: int = 10, module: SharedModule | None = None) -> Any:
    async def load() -> Kept:
        return Kept(cast("Program", object()), module or a_module(), size)

    return await cache.get(at, load)


def loaded(cache: ProgramCache, *keys: Key) -> list[Key]:
    return [each for each in keys if cache.loaded(each) is not None]


async def test_a_tenant_with_more_than_a_quarter_loses_its_own_oldest_program(tasks: TaskGroup) -> None:
    cache = ProgramCache(tasks, CacheBounds(100, MANY_FILES))
    await put(cache, key("quiet"))
    for number in range(3):
        await put(cache, key("loud", number))

    assert loaded(cache, key("quiet"), *(key("loud", number) for number in range(3))) == [
        key("quiet"),
        key("loud", 1),
        key("loud", 2),
    ]


async def test_beyond_the_total_the_program_unused_for_longest_goes(tasks: TaskGroup) -> None:
    cache = ProgramCache(tasks, CacheBounds(100, MANY_FILES))
    tenants = [f"tenant-{number}" for number in range(5)]
    for tenant in tenants:
        await put(cache, key(tenant), 20)
    cache.loaded(key(tenants[0]))

    await put(cache, key("another"), 20)

    assert loaded(cache, *map(key, [*tenants, "another"])) == [
        key(tenant) for tenant in (tenants[0], *tenants[2:], "another")
    ]


async def test_one_program_is_kept_however_large_it_is(tasks: TaskGroup) -> None:
    cache = ProgramCache(tasks, CacheBounds(100, MANY_FILES))

    await put(cache, key("acme"), 5_000)

    assert loaded(cache, key("acme")) == [key("acme")]


async def test_open_files_are_bounded_as_bytes_are(tasks: TaskGroup) -> None:
    cache = ProgramCache(tasks, CacheBounds(1_000_000, 8))
    for number in range(3):
        await put(cache, key("loud", number))

    assert loaded(cache, *(key("loud", number) for number in range(3))) == [key("loud", 1), key("loud", 2)]


async def test_a_module_that_many_tenants_have_counts_once(tasks: TaskGroup) -> None:
    cache = ProgramCache(tasks, CacheBounds(100, 8))
    module = a_module(20)
    tenants = [f"tenant-{number}" for number in range(8)]
    for tenant in tenants:
        await put(cache, key(tenant), 10, module)

    assert loaded(cache, *map(key, tenants)) == [*map(key, tenants)]


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
        await cache.get(key(tenant), load_program)
    assert loads == 1

    for number in range(20):
        await put(cache, key(f"tenant-{number}"), 10)
    await cache.get(key("one"), load_program)

    assert loads == 2


async def test_half_of_the_programs_makes_room_the_oldest_ones(tasks: TaskGroup) -> None:
    cache = ProgramCache(tasks, CacheBounds(100, MANY_FILES))
    tenants = [f"tenant-{number}" for number in range(5)]
    for tenant in tenants:
        await put(cache, key(tenant))

    cache.drop_half()

    assert loaded(cache, *map(key, tenants)) == [*map(key, tenants[3:])]


async def test_a_failed_load_is_tried_again(tasks: TaskGroup) -> None:
    cache = ProgramCache(tasks, CacheBounds(100, MANY_FILES))

    async def fail() -> Kept:
        raise OSError("first")

    with pytest.raises(OSError, match="first"):
        await cache.get(key("acme"), fail)
    await put(cache, key("acme"))

    assert loaded(cache, key("acme")) == [key("acme")]
