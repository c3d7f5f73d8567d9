"""Components in slots of a pool: as many as it has, one after the other in the same slot, and others without one."""

from __future__ import annotations

import os

import pytest

from alga_runner.engine import Component, ComponentGuest, Engine, EngineConfig, engine_context
from alga_runner.errors import GuestTrap, MemoryLimit
from tests.support.components import call, component, handler, instance, linked

SLOTS = 2

COUNT = """(global $calls (mut i32) (i32.const 0))
  (func (export "run") (result i32)
    (global.set $calls (i32.add (global.get $calls) (i32.const 1)))
    (i32.store (i32.const 70000) (i32.add (i32.load (i32.const 70000)) (global.get $calls)))
    (i32.load (i32.const 70000)))"""
"""Counts in a global and in a page of its memory that nothing initialises."""


@pytest.fixture(name="pool")
def pool_of_two() -> Engine:
    config = EngineConfig(max_guests=SLOTS, max_memory_bytes=1 << 20, components=True, component_pool=True)
    return engine_context.engine(config)


def pooled(of: Component, pool: Engine) -> Component:
    """``of``, loaded for ``pool``, too."""
    code = os.memfd_create("code")
    try:
        os.write(code, of.on_demand.native.serialize())
        of.load_for_pool(pool, code)
    finally:
        os.close(code)
    return of


def counting(pool: Engine) -> Component:
    return pooled(component(handler(COUNT, "u32").replace("(memory 1)", "(memory 2)")), pool)


def test_a_slot_has_nothing_of_the_guest_before(pool: Engine) -> None:
    of = linked(counting(pool))

    for _ in range(3 * SLOTS):
        with instance(of) as guest:
            assert guest.code is of.pooled
            assert [call(guest, "run"), call(guest, "run")] == [1, 3]


def test_guests_beyond_the_slots_get_memory_of_their_own(pool: Engine) -> None:
    of = linked(counting(pool))
    guests = [ComponentGuest(of, of.engine.limits, max_items=10) for _ in range(SLOTS + 2)]

    try:
        assert [guest.code is of.pooled for guest in guests] == [True, True, False, False]
        for guest in guests:
            guest.instantiate()
            while not guest.poll():
                pass
            assert call(guest, "run") == 1
    finally:
        for guest in guests:
            guest.close()
            guest.close()
    assert len(pool.free_slots) == SLOTS


def test_a_guest_that_traps_gives_its_slot_back(pool: Engine) -> None:
    of = linked(pooled(component(handler('(func (export "run") unreachable)')), pool))

    for _ in range(2 * SLOTS):
        with instance(of) as guest, pytest.raises(GuestTrap):
            call(guest, "run")

    assert len(pool.free_slots) == SLOTS


def test_a_component_that_does_not_fit_a_slot_runs_without_one(pool: Engine) -> None:
    large = handler('(memory $own 32) (func (export "run") (result i32) memory.size $own)', "u32")

    of = linked(pooled(component(large), pool))

    assert of.pooled is None
    with instance(of) as guest:
        assert call(guest, "run") == 32


def test_a_guest_s_own_limit_of_memory_holds_in_a_slot(pool: Engine) -> None:
    grow = '(func (export "run") (result i32) (memory.grow (i32.const 3)))'
    of = linked(pooled(component(handler(grow, "s32")), pool))
    limits = type(of.engine.limits)(memory_bytes=3 << 16, table_elements=10)

    with instance(of, limits=limits) as guest:
        assert guest.code is of.pooled
        assert call(guest, "run") == -1
    too_small = type(of.engine.limits)(memory_bytes=1 << 15, table_elements=10)
    with pytest.raises(MemoryLimit), instance(of, limits=too_small):
        pass
    assert len(pool.free_slots) == SLOTS
