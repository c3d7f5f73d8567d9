"""The memory of a guest is seen while it computes, and can be kept from growing then."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterator
from itertools import count
from typing import cast

import pytest
from wasmtime import wat2wasm

from alga_runner.engine import Engine, Guest, GuestLimits, Linker, Module
from alga_runner.engine.memory import LinearMemory
from alga_runner.engine.native.guest import NativeGuest
from tests.support.cpu_thread import Start, SteppedCpuThread, cancel_all, iterate, submit
from tests.support.steps import at_step

pytestmark = pytest.mark.anyio

PAGE = 64 * 1024
MAY_GROW = PAGE - 1
"""Where the guest looks for whether to grow."""
COMPUTES = "(loop $on (br_if $on (local.tee $n (i32.sub (local.get $n) (i32.const 1)))))"

_memory_bytes = cast("Callable[[Guest], int]", cast("property", Guest.memory_bytes).fget)
_FINDING = {
    of.__code__
    for of in (Guest._use_memory, NativeGuest._open_memory, LinearMemory.__init__, LinearMemory.open)
}


@pytest.fixture
def growing(engine: Engine, limits: GuestLimits) -> Iterator[Guest]:
    """A guest that computes without end, and grows by a page as soon as it may."""
    module = f"""(module (memory (export "memory") 1) (func (export "run")
      (loop $wait (br_if $wait (i32.eqz (i32.load8_u (i32.const {MAY_GROW})))))
      (drop (memory.grow (i32.const 1)))
      (loop $on (br $on))))"""
    with Linker(engine, ()).link(Module(engine, bytes(wat2wasm(module)))).new_guest(limits) as guest:
        guest.instantiate()
        assert guest.poll()
        guest.call("run")
        yield guest


async def test_memory_that_grew_is_seen_after_the_slice(stepped: SteppedCpuThread, growing: Guest) -> None:
    assert growing.memory is not None
    task = await submit(stepped, growing)
    stepped.run_slice()
    assert growing.memory_bytes == PAGE

    growing.memory.write(MAY_GROW, b"\1")
    stepped.run_slice()

    assert growing.memory_bytes == 2 * PAGE
    await cancel_all(stepped, [task])


async def test_a_guest_that_computes_grows_no_more_from_its_next_slice_on(
    stepped: SteppedCpuThread, growing: Guest
) -> None:
    assert growing.memory is not None
    task = await submit(stepped, growing)
    stepped.run_slice()

    growing.stop_growing()
    growing.memory.write(MAY_GROW, b"\1")
    stepped.run_slice()
    await cancel_all(stepped, [task])

    assert growing.memory.size == PAGE


def test_a_start_function_counts_as_having_all_that_is_allowed_and_can_be_kept_from_growing(
    engine: Engine, limits: GuestLimits
) -> None:
    module = f"""(module (memory (export "memory") 1)
      (func $start (local $n i32) (local.set $n (i32.const 20000000)) {COMPUTES}
        (i32.store (i32.const 0) (memory.grow (i32.const 1))))
      (start $start))"""
    with Linker(engine, ()).link(Module(engine, bytes(wat2wasm(module)))).new_guest(limits) as guest:
        guest.instantiate()
        assert not guest.poll()

        assert guest.memory_bytes == engine.limits.memory_bytes
        guest.stop_growing()
        while not guest.poll():
            pass

        assert guest.memory is not None
        assert guest.memory.read(0, 4) == b"\xff\xff\xff\xff"


async def test_memory_is_looked_at_while_the_cpu_thread_frees_the_guest(
    stepped: SteppedCpuThread, start: Start
) -> None:
    for step in count(1):
        guest = start("spin")
        assert guest.memory is not None
        freed = asyncio.create_task(stepped.free(guest))
        await iterate()

        with at_step({_memory_bytes.__code__}, step, stepped.run_slice) as meanwhile:
            size = _memory_bytes(guest)

        assert size in {0, PAGE}
        if not meanwhile:
            stepped.run_slice()
        await freed
        if not meanwhile:
            break
    assert step > 10


def test_memory_is_looked_at_while_another_thread_finds_it(engine: Engine, limits: GuestLimits) -> None:
    linked = Linker(engine, ()).link(Module(engine, bytes(wat2wasm('(module (memory (export "memory") 1))'))))
    with linked.new_guest(limits) as guest:
        guest.instantiate()
        assert guest.poll()
        for step in count(1):
            guest.memory = None

            with at_step(_FINDING, step, lambda: guest.memory_bytes) as sizes:
                if guest.memory is None:  # the native helper's is found when it is asked for
                    guest._use_exported_memory()

            if not sizes:
                break
            assert sizes[0] in {PAGE, engine.limits.memory_bytes}
    assert step > 10
