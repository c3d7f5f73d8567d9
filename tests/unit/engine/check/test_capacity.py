"""How many guests fit is room out before wasmtime would end the process over it."""

from __future__ import annotations

import subprocess
import sys
import textwrap

import pytest

from alga_runner.engine.check import capacity as module
from alga_runner.engine.check.capacity import (
    MAPS_PER_GUEST,
    MAPS_PER_SLOT,
    RESERVED_MAPS,
    Maps,
    capacity,
    read_maps,
    require_address_space,
)
from alga_runner.errors import EngineUnavailable

EACH = MAPS_PER_SLOT + MAPS_PER_GUEST

GUESTS = """
    import resource, sys
    from wasmtime import wat2wasm
    from alga_runner.engine import *
    from alga_runner.engine.check.capacity import read_maps

    def alive(config, count):
        '''Guests that use two pages, a table and a host call, each suspended in that.'''
        engine = engine_context.engine(config)
        wat = '''(module (import "host" "wait" (func $wait)) (memory (export "memory") 2) (table 10 funcref)
          (func (export "go") (param i32)
            (drop (memory.grow (i32.const 3))) (i32.store (i32.const 200000) (i32.const 1)) (call $wait)))'''
        linked = Linker(engine, [HostFunction("host", "wait", Signature())]).link(
            Module(engine, bytes(wat2wasm(wat))))
        guests = []
        for _ in range(count):
            guest = Guest(linked, GuestLimits(1 << 22, 100))
            guest.instantiate()
            while not guest.poll(): pass
            guest.call("go", 1)
            while guest.pending is None: guest.poll()
            guests.append(guest)
        return guests
"""


def outcome(program: str) -> tuple[int, str, str]:
    source = textwrap.dedent(GUESTS) + textwrap.dedent(program)
    done = subprocess.run(
        [sys.executable, "-c", source], capture_output=True, text=True, timeout=60, check=False
    )
    return done.returncode, done.stdout.strip(), done.stderr


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


def test_ten_thousand_guests_fit_where_the_kernel_has_its_usual_bound():
    room = capacity(10_000, Maps(allowed=65_530, taken=1_000))

    assert room.guests == 10_000
    assert not room.reduced


@pytest.mark.parametrize(
    ("maps", "guests"),
    [
        pytest.param(Maps(RESERVED_MAPS + EACH * 7 + EACH - 1 + 300, 300), 7, id="rounded down"),
        pytest.param(Maps(RESERVED_MAPS + EACH + 300, 300), 1, id="one"),
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
        require_address_space(1_000_000, bytes_each=1 << 20)


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
        import mmap
        kept = []
        while read_maps().allowed - read_maps().taken > 5_000:
            for number in range(500):  # neighbours that differ are not merged
                kept.append(mmap.mmap(-1, 4096, flags=mmap.MAP_PRIVATE, prot=1 + 2 * (number % 2)))
        try:
            engine_context.engine(EngineConfig(max_guests=10))
        except Exception as error:
            print(error.code, error)
    """)

    assert (code, err) == (0, "")
    assert out.startswith("engine_unavailable There is no room for a guest: max_guests is 10; of the ")
