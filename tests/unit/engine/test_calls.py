"""A guest that is started with several calls makes them one after the other, with nothing between."""

from __future__ import annotations

import struct

import pytest
from wasmtime import wat2wasm

from alga_runner.engine import (
    Calls,
    Engine,
    GuestLimits,
    HostFunction,
    LinkedModule,
    Linker,
    Module,
    Signature,
)
from alga_runner.errors import ExportMissing, GuestTrap, OutOfBounds, StackLimit

LIMITS = GuestLimits(1 << 20, 100)

WAT = """
(module
  (import "host" "note" (func $note (param i32)))
  (import "host" "look" (func $look (result i32)))
  (memory (export "memory") 1)
  {start}
  (func $add (param i32) (i32.store (i32.const 0)
    (i32.add (i32.mul (i32.load (i32.const 0)) (i32.const 10)) (local.get 0))))
  (func $first (export "first") (call $add (i32.const 1)))
  (func $looking (export "looking") (call $add (call $look)))
  (func $noting (export "noting") (call $note (i32.const 5)) (call $add (i32.const 2)))
  (func $spinning (export "spinning") (loop (br 0)))
  (func $trapping (export "trapping") unreachable)
  (func $deep (export "deep") (call $deep))
  (global (export "number") i32 (i32.const 1))
  (func $last (export "last") (param i32) (call $add (local.get 0)) (call $add (call $look))))
"""


@pytest.fixture
def link(engine: Engine):
    functions = [
        HostFunction("host", "note", Signature("i")),
        HostFunction("host", "look", Signature("", "i"), suspends=False),
    ]

    def link(start: str = "") -> LinkedModule:
        return Linker(engine, functions).link(Module(engine, bytes(wat2wasm(WAT.format(start=start)))))

    return link


def started(linked: LinkedModule, *exports: str, argument: int = 7):
    guest = linked.new_guest(LIMITS)
    guest.answerer = lambda _function, _arguments: int(guest.handling)
    guest.start(Calls(*exports), argument)
    return guest


def settled(guest) -> bool:
    """Run to the end (``True``) or to a host call."""
    while not guest.poll():
        if guest.pending is not None:
            return False
    return True


def number(guest) -> int:
    return int.from_bytes(guest.memory.read(0, 4), "little")


def test_calls_are_made_in_turn_and_the_last_takes_the_argument(link):
    with started(link(), "first", "first", "last") as guest:
        assert settled(guest)
        assert number(guest) == 1171


def test_a_guest_handles_from_its_last_call_on(link):
    with started(link(), "looking", "last") as guest:
        assert settled(guest)
        assert number(guest) == 71, "the first call saw 0, the last 1"


def test_the_memory_is_there_in_the_first_host_call(link):
    linked = link("(start $first)")
    guest = started(linked, "last")
    seen = []
    with guest:
        guest.answerer = lambda _function, _arguments: seen.append(guest.memory.read(0, 4)) or 3
        assert settled(guest)
    assert seen == [(17).to_bytes(4, "little")]


def test_the_memory_is_there_in_a_host_call_before_the_guest_is_instantiated(link):
    linked = link("(start $begin) (func $begin (call $add (call $look)))")
    guest = started(linked, "last")
    seen = []
    with guest:
        guest.answerer = lambda _function, _arguments: seen.append((guest.handling, guest.memory.size)) or 3
        assert settled(guest)
    assert seen == [(False, 65536), (True, 65536)]


def test_a_host_call_in_a_call_is_answered_and_the_rest_follows(link):
    with started(link(), "noting", "last") as guest:
        assert not settled(guest)
        assert (guest.pending[1], guest.handling) == ((5,), False)
        guest.resume()
        assert settled(guest)
        assert number(guest) == 271


@pytest.mark.parametrize(
    ("export", "error", "stack"),
    [("trapping", GuestTrap, ["trapping"]), ("deep", StackLimit, None)],
)
def test_a_call_that_fails_is_the_last(link, export: str, error: type[Exception], stack: list[str] | None):
    with started(link(), "first", export, "last") as guest:
        with pytest.raises(error) as caught:
            settled(guest)
        assert stack is None or [frame.function for frame in caught.value.frames] == stack
        assert number(guest) == 1
        with pytest.raises(RuntimeError, match="nothing to run"):
            guest.poll()


def test_an_interrupted_guest_makes_no_further_call(link):
    with started(link(), "spinning", "last") as guest:
        assert not guest.poll()
        assert [frame.function for frame in guest.interrupt()] == ["spinning"]
        assert number(guest) == 0
        assert guest.memory_bytes == 65536
        with pytest.raises(RuntimeError, match="nothing to run"):
            guest.poll()


def test_a_guest_that_is_interrupted_in_a_host_call_makes_no_further_call(link):
    with started(link(), "noting", "last") as guest:
        assert not settled(guest)
        assert [frame.function for frame in guest.interrupt()] == ["noting"]
        assert number(guest) == 0


def test_a_guest_that_has_not_begun_has_no_stack(link):
    with started(link(), "last") as guest:
        assert guest.interrupt() == () or guest.memory is not None


def test_an_export_that_is_no_function_ends_the_guest(link):
    for name in ("nothing", "number"):
        with started(link(), "first", name, "last") as guest, pytest.raises(ExportMissing, match=name):
            settled(guest)


def test_a_closed_guest_runs_no_other(link):
    """The next guest has its buffer."""
    linked = link()
    closed = started(linked, "noting", "last")
    assert not settled(closed)
    closed.close()
    with started(linked, "noting", "last") as guest:
        assert not settled(guest)
        with pytest.raises(RuntimeError, match="nothing to run"):
            closed.poll()
        assert closed.interrupt() == ()
        closed.close()
        closed.stop_growing()
        guest.resume()
        assert settled(guest)
        assert number(guest) == 271


def test_a_guest_sees_nothing_of_the_one_before_it(link):
    linked = link()
    for _ in range(3):
        with started(linked, "first", "last") as guest:
            assert guest.memory is None
            assert settled(guest)
            assert number(guest) == 171


def test_growth_past_the_limit_of_the_guest_is_refused(engine):
    wat = """(module (memory (export "memory") 1)
      (func (export "grow") (param i32) (i32.store (i32.const 0) (memory.grow (local.get 0)))))"""
    linked = Linker(engine, []).link(Module(engine, bytes(wat2wasm(wat))))
    for pages, gives in ((3, 1), (4, 0xFFFFFFFF)):
        with linked.new_guest(GuestLimits(4 * 65536, 0)) as guest:
            guest.start(Calls("grow"), pages)
            assert settled(guest)
            assert number(guest) == gives
            with pytest.raises(OutOfBounds):
                guest.memory.read(4 * 65536, 1)


@pytest.mark.parametrize("when", ["made", "started", "instantiated"])
def test_a_guest_that_is_to_grow_no_more_does_not(engine, when: str):
    wat = """(module (import "host" "wait" (func $wait)) (memory (export "memory") 1 3)
      (func (export "wait") (call $wait))
      (func (export "grow") (param i32) (i32.store (i32.const 0) (memory.grow (local.get 0)))))"""
    linked = Linker(engine, [HostFunction("host", "wait", Signature())]).link(
        Module(engine, bytes(wat2wasm(wat)))
    )
    with linked.new_guest(engine.limits) as guest:
        if when == "made":
            guest.stop_growing()
        guest.start(Calls("wait", "grow"), 1)
        if when == "started":
            guest.stop_growing()
        assert not settled(guest)
        if when == "instantiated":
            guest.stop_growing()
        guest.resume()
        assert settled(guest)
        assert number(guest) == 0xFFFFFFFF


def test_calls_that_a_failure_left_are_not_made_with_the_next(link):
    with started(link(), "first", "nothing", "last") as guest:
        with pytest.raises(ExportMissing):
            settled(guest)
        guest.call("first")
        assert settled(guest)
        assert number(guest) == 11


ONES = r"\ff" * 8


@pytest.mark.parametrize(
    ("letter", "kind", "value"),
    [("i", "i32", 4_294_967_295), ("I", "i64", 2**64 - 1), ("f", "f32", -1.5), ("d", "f64", 1e300)],
)
def test_an_answer_that_is_waited_for_is_of_the_kind_that_the_function_has(
    engine: Engine, letter: str, kind: str, value: float
):
    back = HostFunction("host", "back", Signature(letter * 12, letter))
    parameters, arguments = f"(param {' '.join([kind] * 12)})", f"({kind}.const 0)" * 11
    wat = f"""(module (import "host" "back" (func $back {parameters} (result {kind})))
      (memory (export "memory") 1) (data (i32.const 0) "{ONES}")
      (func (export "go") (param i32)
        ({kind}.store (i32.const 8) (call $back {arguments} ({kind}.load (i32.const 0))))
        ({kind}.store (i32.const 8) (call $back {arguments} ({kind}.load (i32.const 8))))))"""
    layout = struct.Struct(f"<{letter.replace('I', 'Q').replace('i', 'I')}")
    with Linker(engine, [back]).link(Module(engine, bytes(wat2wasm(wat)))).new_guest(LIMITS) as guest:
        guest.start(Calls("go"), 0)
        assert not settled(guest)
        first = guest.pending[1]
        guest.resume(value)
        assert not settled(guest)
        second = guest.pending[1]
        guest.resume(value)

        assert settled(guest)
        assert layout.pack(first[-1]) == (b"\xff" * 8)[: layout.size]
        assert (first[:-1], second) == ((0,) * 11, (0,) * 11 + (value,))
        assert guest.memory.read(8, layout.size) == layout.pack(value)
