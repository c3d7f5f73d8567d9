"""How many guests fit is room out before wasmtime would end the process over it."""

from __future__ import annotations

import textwrap
from dataclasses import replace

import pytest

from alga_runner.engine.check import capacity as module
from alga_runner.engine.check.capacity import (
    LEAST_COMPONENTS,
    MAPS_PER_COMPONENT,
    MAPS_PER_GUEST,
    MAPS_PER_SLOT,
    MOST_MODULES,
    RESERVED_MAPS,
    RESERVED_MODULES,
    Maps,
    capacity,
    read_maps,
    require_address_space,
)
from alga_runner.errors import EngineUnavailable, Overloaded
from tests.support.components import component, instance, linked
from tests.support.memory_maps import run_program

SLOT = MAPS_PER_SLOT + MAPS_PER_GUEST
EACH = SLOT + MAPS_PER_COMPONENT

GUESTS = """
    import resource, sys
    from wasmtime import wat2wasm
    from alga_runner.engine import *
    from alga_runner.engine.check.capacity import read_maps

    def alive(config, count):
        '''Guests that use pages, static data, a table and a host call, each suspended in that.'''
        engine = engine_context.engine(config)
        wat = '''(module (import "host" "wait" (func $wait)) (memory (export "memory") 20) (table 10 funcref)
          (data (i32.const 500000) "in the middle")
          (func (export "go") (param i32)
            (drop (memory.grow (i32.const 3))) (i32.store (i32.const 200000) (i32.const 1)) (call $wait)))'''
        linked = Linker(engine, [HostFunction("host", "wait", Signature())]).link(
            Module(engine, bytes(wat2wasm(wat))))
        guests = []
        for _ in range(count):
            guest = linked.new_guest(GuestLimits(1 << 22, 100))
            guest.instantiate()
            while not guest.poll(): pass
            guest.call("go", 1)
            while guest.pending is None: guest.poll()
            guests.append(guest)
        return guests
"""


def outcome(program: str) -> tuple[int, str, str]:
    return run_program(textwrap.dedent(GUESTS) + textwrap.dedent(program))


def test_a_guest_takes_no_more_memory_maps_than_is_reckoned_with():
    code, out, err = outcome("""
        from wasmtime import wat2wasm
        wat2wasm("(module)")
        before = read_maps().taken
        engine_context.engine(EngineConfig(max_guests=400))
        pool = read_maps().taken
        guests = alive(EngineConfig(max_guests=400), 400)
        print(pool - before, read_maps().taken - pool)
    """)

    assert (code, err) == (0, "")
    pool, guests = map(int, out.split())
    assert pool <= 400 * MAPS_PER_SLOT + 20
    assert guests <= 400 * MAPS_PER_GUEST + 60  # the module's code, and the allocator's arenas


def test_a_component_takes_no_more_memory_maps_than_is_reckoned_with() -> None:
    code, out, err = outcome("""
        wat = '''(component
          (import "test:host/api" (instance $host (export "wait" (func))))
          (alias export $host "wait" (func $wait)) (core func $lowered (canon lower (func $wait)))
          (core module $m (memory 20) (table 10 funcref) (data (i32.const 500000) "in the middle")
            (func $start (drop (memory.grow (i32.const 3))) (i32.store (i32.const 0) (i32.const 1))) (start $start))
          (core instance (instantiate $m)) (core instance (instantiate $m))
          (core module $code (import "host" "wait" (func $wait)) (func (export "run") (call $wait)))
          (core instance $code (instantiate $code (with "host" (instance (export "wait" (func $lowered))))))
          (func (export "run") (canon lift (core func $code "run"))))'''
        async def wait(_): pass
        component = Component(engine_context.engine(EngineConfig(components=True)), bytes(wat2wasm(wat)))
        linked = link_component(component, lambda _: Offer(wait), lambda *_: None)
        before, guests = read_maps().taken, []
        for _ in range(100):
            guest = ComponentGuest(linked, GuestLimits(1 << 22, 100), max_items=10)
            guest.instantiate()
            while not guest.poll(): pass
            guest.call("run")
            while guest.pending is None: guest.poll()
            guests.append(guest)
        print(read_maps().taken - before)
    """)

    assert (code, err) == (0, "")
    assert int(out) <= 100 * MAPS_PER_COMPONENT + 60  # the allocator's arenas


def test_a_component_for_which_there_is_no_room_is_turned_away(monkeypatch: pytest.MonkeyPatch) -> None:
    of = linked(component("(component)"))
    monkeypatch.setattr(of.engine, "capacity", replace(of.engine.capacity, components=1))

    with (
        instance(of),
        pytest.raises(Overloaded, match="As many components are alive as there is room for") as caught,
        instance(of),
    ):
        pass

    assert "vm.max_map_count" in (caught.value.hint or "")
    with instance(of):
        pass


def test_ten_thousand_guests_fit_where_the_kernel_has_its_usual_bound():
    room = capacity(10_000, Maps(allowed=65_530, taken=1_000))

    assert room.guests == 10_000
    assert room.components >= LEAST_COMPONENTS
    assert room.reduced


def test_all_guests_may_be_components_where_there_are_maps_for_that() -> None:
    room = capacity(1_000, Maps(allowed=65_530, taken=1_000))

    assert (room.guests, room.components, room.reduced) == (1_000, 1_000, False)


def test_modules_and_their_next_guests_take_maps_that_guests_leave() -> None:
    usual = Maps(allowed=65_530, taken=1_000)

    few = capacity(1_000, usual, warm_modules=1_500)
    assert few.memories == 3_000
    assert few.modules == MOST_MODULES
    many = capacity(10_000, usual, warm_modules=1_500)
    assert many.memories == 10_000
    assert many.modules // RESERVED_MODULES == 1


def test_few_guests_do_not_take_the_address_space_of_many_modules() -> None:
    assert capacity(10, Maps(allowed=65_530, taken=1_000), warm_modules=1_500).memories == 30


def test_guests_that_may_not_all_be_components_are_said_to() -> None:
    room = capacity(200, Maps(RESERVED_MAPS + 200 * SLOT + 150 * MAPS_PER_COMPONENT, 0))

    assert (room.guests, room.components, room.reduced) == (200, 150, True)
    assert "150 may be components" in room.why


@pytest.mark.parametrize(
    ("maps", "guests"),
    [
        pytest.param(Maps(RESERVED_MAPS + EACH * 7 + EACH - 1 + 300, 300), 7, id="rounded down"),
        pytest.param(Maps(RESERVED_MAPS + EACH + 300, 300), 1, id="one"),
        pytest.param(
            Maps(RESERVED_MAPS + EACH * LEAST_COMPONENTS + SLOT * 50 + 300, 300),
            LEAST_COMPONENTS + 50,
            id="some are modules",
        ),
    ],
)
def test_more_than_the_kernel_allows_is_held_to_that(maps: Maps, guests: int):
    room = capacity(1_000, maps)

    assert (room.guests, room.reduced) == (guests, True)
    assert f"{maps.taken} are taken" in room.why


def test_a_kernel_that_allows_no_guest_is_named():
    with pytest.raises(EngineUnavailable, match=r"no room for a guest.*vm\.max_map_count") as raised:
        capacity(1, Maps(RESERVED_MAPS, 300))

    assert "sysctl" in (raised.value.hint or "")


def test_where_the_kernel_does_not_tell_the_setting_counts():
    assert capacity(12, None).guests == 12


def test_a_kernel_without_that_file_does_not_tell(monkeypatch, tmp_path):
    monkeypatch.setattr(module, "_MAX_MAP_COUNT", tmp_path / "nothing")

    assert read_maps() is None


def test_address_space_that_nobody_has_is_refused_with_a_sentence():
    with pytest.raises(
        EngineUnavailable, match=r"Room for 1000000 guests takes 3937\.\d TiB of address space"
    ):
        require_address_space(1_000_000, memories=1_000_000, bytes_each=1 << 20)


def test_a_process_with_little_address_space_is_told_which_limit_it_is():
    code, out, err = outcome("""
        resource.setrlimit(resource.RLIMIT_AS, (8 << 30, 8 << 30))
        try:
            engine_context.engine(EngineConfig(max_guests=1000))
        except Exception as error:
            print(error.code, error, error.hint)
    """)

    assert (code, err) == (0, "")
    assert out.startswith("engine_unavailable Room for 1000 guests takes 3.9 TiB of address space")
    assert "The process may have 8.0 GiB in all (ulimit -v)" in out


def test_a_process_that_has_used_up_its_memory_maps_is_told_so_and_lives():
    code, out, err = outcome("""
        kept = taking_maps(left=3_000)
        try:
            engine_context.engine(EngineConfig(max_guests=10))
        except Exception as error:
            print(error.code, error)
    """)

    assert (code, err) == (0, "")
    assert out.startswith("engine_unavailable There is no room for a guest: max_guests is 10; of the ")
