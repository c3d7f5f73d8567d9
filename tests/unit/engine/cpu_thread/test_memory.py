"""The memory of a guest is seen while it computes, and can be kept from growing then."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from wasmtime import wat2wasm

from alga_runner.engine import Engine, Guest, GuestLimits, Linker, Module
from tests.support.cpu_thread import SteppedCpuThread, cancel_all, submit

pytestmark = pytest.mark.anyio

PAGE = 64 * 1024
MAY_GROW = PAGE - 1
"""Where the guest looks for whether to grow."""
COMPUTES = "(loop $on (br_if $on (local.tee $n (i32.sub (local.get $n) (i32.const 1)))))"


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
