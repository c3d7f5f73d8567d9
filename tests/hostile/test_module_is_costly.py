"""A module made to keep the compiler busy, or to fill its memory, costs its own tenant a refusal and nobody a turn."""

from __future__ import annotations

from collections.abc import Callable

import anyio
import pytest
from wasmtime import wat2wasm

from alga_runner import Settings

pytestmark = pytest.mark.anyio


@pytest.fixture
def settings(settings: Settings) -> Settings:
    return settings.model_copy(update={"max_compile_cpu_ms": 100, "max_compile_memory_mb": 64})


async def test_a_module_that_compiles_for_ever_is_refused(
    observe, slow_module: Callable[[int], bytes]
) -> None:
    observation = await observe(slow_module(500))

    assert observation.error.code == "compile_timeout"


async def test_a_module_that_fills_the_compiler_s_memory_is_refused(observe, greedy_module: bytes) -> None:
    observation = await observe(greedy_module)

    assert observation.error.code == "compile_memory"


async def test_the_deadline_of_an_execution_ends_the_wait_for_the_compiler(
    observe, slow_module: Callable[[int], bytes]
) -> None:
    observation = await observe(slow_module(501), timeout_ms=1)

    assert observation.error.code == "deadline_exceeded"


class TestWithTimeToSpare:
    """The compiler is busy for much longer than the test takes."""

    @pytest.fixture
    def settings(self, settings: Settings) -> Settings:
        return settings.model_copy(update={"max_compile_cpu_ms": 600_000, "max_compile_memory_mb": 1_024})

    async def test_others_are_served_while_a_module_compiles(
        self, observe, guest_wat, slow_module: Callable[[int], bytes]
    ) -> None:
        ended: list[object] = []

        async def hostile() -> None:
            ended.append(await observe(slow_module(5_000)))

        async with anyio.create_task_group() as tasks:
            tasks.start_soon(hostile)
            await anyio.wait_all_tasks_blocked()
            served = [await observe(guest_wat()) for _ in range(20)]
            assert ended == []
            tasks.cancel_scope.cancel()

        assert [observation.error for observation in served] == [None] * 20

    async def test_twelve_megabytes_are_loaded_beside_the_loop(self, observe, guest_wat) -> None:
        functions = "(func (param i32) (result i32) (i32.add (local.get 0) (i32.const 1)))" * 1_000
        large = bytes(wat2wasm(guest_wat(module=f'{functions} (data "{"x" * 12_000_000}")')))
        small = guest_wat()
        await observe(small)
        served = 0
        loaded = anyio.Event()

        async def serve() -> None:
            nonlocal served
            while not loaded.is_set():
                assert (await observe(small)).response is not None
                served += 1

        async with anyio.create_task_group() as tasks:
            tasks.start_soon(serve)
            observation = await observe(large)
            loaded.set()

        assert observation.response is not None
        assert served > 1
