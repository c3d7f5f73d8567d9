"""A component that breaks the canonical ABI, or computes where the host waits for it, ends by itself alone."""

from __future__ import annotations

from time import monotonic
from typing import Any

import anyio
import pytest

from alga_runner.engine import Budget, ComponentGuest, LinkedComponent, Offer, link_component, run_call
from alga_runner.engine.component import _capi
from alga_runner.errors import (
    CanonicalAbiBreach,
    CpuLimit,
    DeadlineExceeded,
    GuestTrap,
    HostFunctionMissing,
)
from tests.support.component_relay import LIBC
from tests.support.components import call, calling, component, handler, instance, linked, with_realloc

SPIN = "(loop (br 0))"
BYTES = b"x" * 1000
ANSWERED = calling(
    '(import "host" "call" (func $call (param i32))) (func (export "run") (call $call (i32.const 8)))',
    "(func (result (list u32)))",
)
GIVEN = handler('(func (export "run") (param i32 i32))', params='(param "value" (list u32))')
RETURNED = handler(
    """(func (export "run") (result i32)
      (i32.store (i32.const 0) (i32.const 1024)) (i32.store (i32.const 4) (i32.const 1000)) (i32.const 0))""",
    "(list u8)",
)
IN_START = "(component (core module $m (func $f {}) (start $f)) (core instance (instantiate $m)))"


def with_post_return(text: str, body: str) -> str:
    """``text``, whose core module has a function of that body to be called after ``run``."""
    text = text.replace(
        '(func (export "run") (result i32)',
        f'(func (export "post") (param i32) {body}) (func (export "run") (result i32)',
        1,
    )
    return text.replace(
        "(realloc $realloc))))", '(realloc $realloc) (post-return (core func $code "post")))))'
    )


async def execute(of: LinkedComponent, budget: Budget, *arguments: Any) -> Any:
    def answerer(place: int, given: tuple[Any, ...]) -> Any:
        return of.functions[place].answer(None, *given)

    with ComponentGuest(of, of.engine.limits, max_items=2000) as guest:
        guest.instantiate()
        await run_call(guest, answerer, budget)
        guest.call("run", *arguments)
        await run_call(guest, answerer, budget)
        return guest.result()


@pytest.mark.parametrize("body", ["i32.const -8", "i32.const 3", "i32.const 131072"])
@pytest.mark.parametrize("suspends", [False, True])
def test_an_allocator_that_gives_no_room_for_an_answer_is_a_breach(body: str, suspends: bool) -> None:
    of = linked(component(with_realloc(ANSWERED, body)), lambda _: [1, 2], suspends=suspends)

    with pytest.raises(CanonicalAbiBreach, match="realloc return"):
        anyio.run(execute, of, Budget())


@pytest.mark.parametrize("body", ["i32.const -8", "i32.const 3", "i32.const 131072"])
def test_an_allocator_that_gives_no_room_for_an_argument_is_a_breach(body: str) -> None:
    with pytest.raises(CanonicalAbiBreach, match="realloc return"):
        anyio.run(execute, linked(component(with_realloc(GIVEN, body))), Budget(), [1, 2])


ENDLESS = {
    "in the start function": (IN_START.format(SPIN), False, ()),
    "while it allocates for its arguments": (with_realloc(GIVEN, f"{SPIN} i32.const 0"), False, ([1],)),
    "while it allocates for an answer": (with_realloc(ANSWERED, f"{SPIN} i32.const 0"), False, ()),
    "while it allocates for a late answer": (with_realloc(ANSWERED, f"{SPIN} i32.const 0"), True, ()),
    "after it returned": (with_post_return(RETURNED, SPIN), False, ()),
}


@pytest.mark.parametrize(("text", "suspends", "arguments"), ENDLESS.values(), ids=ENDLESS)
def test_a_component_that_computes_without_end_ends_at_its_deadline(
    text: str, suspends: bool, arguments: tuple[Any, ...]
) -> None:
    of = linked(component(text), lambda _: [1], suspends=suspends)

    with pytest.raises(DeadlineExceeded):
        anyio.run(execute, of, Budget(monotonic() + 0.03, 30, "acme"), *arguments)

    assert of.engine.ticker.live == 0


@pytest.mark.parametrize(("text", "suspends", "arguments"), ENDLESS.values(), ids=ENDLESS)
def test_a_component_that_computes_without_end_ends_at_its_limit_of_cpu_time(
    text: str, suspends: bool, arguments: tuple[Any, ...]
) -> None:
    of = linked(component(text), lambda _: [1], suspends=suspends)

    with pytest.raises(CpuLimit):
        anyio.run(execute, of, Budget(monotonic() + 300, 0.01, "acme"), *arguments)


@pytest.mark.parametrize(("text", "suspends", "arguments"), ENDLESS.values(), ids=ENDLESS)
def test_a_component_that_computes_without_end_can_be_cancelled(
    text: str, suspends: bool, arguments: tuple[Any, ...]
) -> None:
    of = linked(component(text), lambda _: [1], suspends=suspends)

    async def cancelled() -> bool:
        with anyio.CancelScope() as scope:
            async with anyio.create_task_group() as tasks:
                tasks.start_soon(execute, of, Budget(monotonic() + 300, 300, "acme"), *arguments)
                while not of.engine.ticker.live:
                    await anyio.lowlevel.checkpoint()
                scope.cancel()
        return scope.cancelled_caught

    assert anyio.run(cancelled)
    assert of.engine.ticker.live == 0


def test_a_component_that_traps_after_it_returned_has_trapped() -> None:
    with (
        instance(linked(component(with_post_return(RETURNED, "unreachable")))) as guest,
        pytest.raises(GuestTrap),
    ):
        call(guest, "run")


def test_a_component_is_not_entered_again_after_a_trap() -> None:
    with instance(linked(component(handler('(func (export "run") unreachable)')))) as guest:
        with pytest.raises(GuestTrap):
            call(guest, "run")
        with pytest.raises(CanonicalAbiBreach, match="cannot enter"):
            call(guest, "run")


@pytest.mark.parametrize("encoding", ["utf8", "utf16", "latin1+utf16"])
@pytest.mark.parametrize(
    ("place", "length"), [(131_071, 9), (0, 0xFFFF_FFFF), (0, 0x7FFF_FFFF), (1, 0x8000_0009)]
)
def test_a_text_that_is_not_inside_memory_is_a_breach_in_every_encoding(
    encoding: str, place: int, length: int
) -> None:
    text = handler(
        f"""(func (export "run") (result i32)
          (i32.store (i32.const 0) (i32.const {place})) (i32.store (i32.const 4) (i32.const {length})) i32.const 0)""",
        "string",
    ).replace("(realloc $realloc))))", f"(realloc $realloc) string-encoding={encoding})))")

    with instance(linked(component(text))) as guest, pytest.raises(CanonicalAbiBreach):
        call(guest, "run")


@pytest.mark.parametrize("encoding", ["utf8", "utf16", "latin1+utf16"])
def test_a_text_arrives_in_every_encoding(encoding: str) -> None:
    text = handler(
        """(func (export "run") (param i32 i32) (result i32)
          (i32.store (i32.const 0) (local.get 0)) (i32.store (i32.const 4) (local.get 1)) i32.const 0)""",
        "string",
        '(param "text" string)',
    ).replace("(realloc $realloc))))", f"(realloc $realloc) string-encoding={encoding})))")

    with instance(linked(component(text))) as guest:
        assert call(guest, "run", "aé\U0001f600\0") == "aé\U0001f600\0"


@pytest.mark.parametrize("kind", ["option", "list"])
def test_types_nest_to_the_depth_that_wasmtime_allows(kind: str) -> None:
    nested = f"({kind} " * 97 + "u8" + ")" * 97

    with instance(
        linked(component(handler('(func (export "run") (result i32) i32.const 0)', nested)))
    ) as guest:
        assert call(guest, "run") in (None, [])


@pytest.mark.parametrize("suspends", [False, True])
def test_a_call_that_is_given_two_borrowed_resources_arrives(suspends: bool) -> None:
    made, used = iter([7, 8]), list[object]()

    def make(_: object) -> int:
        return next(made)

    def use(_: object, one: int, more: list[int]) -> None:
        used.append((one, more))

    of = link_component(
        component(f"""(component
          (import "test:host/api" (instance $host
            (export "thing" (type $t (sub resource)))
            (export "make" (func (result (own $t))))
            (export "use" (func (param "one" (borrow $t)) (param "more" (list (borrow $t)))))))
          (alias export $host "make" (func $make)) (alias export $host "use" (func $use))
          {LIBC}
          (core func $core-make (canon lower (func $make)))
          (core func $core-use (canon lower (func $use) (memory $memory)))
          (core module $code (import "libc" "memory" (memory 1))
            (import "host" "make" (func $make (result i32))) (import "host" "use" (func $use (param i32 i32 i32)))
            (func (export "run")
              (i32.store (i32.const 0) (call $make)) (i32.store (i32.const 4) (i32.load (i32.const 0)))
              (call $use (call $make) (i32.const 0) (i32.const 2))))
          (core instance $code (instantiate $code (with "libc" (instance $libc))
            (with "host" (instance (export "make" (func $core-make)) (export "use" (func $core-use))))))
          (func (export "run") (canon lift (core func $code "run"))))"""),
        lambda of: Offer(make, False, "thing") if of.name == "make" else Offer(use, suspends),
        lambda _guest, _number: None,
    )
    with instance(of) as guest:
        call(guest, "run")

    assert used == [(8, [7, 7])]


def test_an_immediate_answer_that_does_not_fit_its_type_ends_the_guest_with_the_function() -> None:
    of = linked(component(ANSWERED), lambda _: "text")

    with instance(of) as guest, pytest.raises(HostFunctionMissing, match="test:host/api call"):
        call(guest, "run")


def test_a_result_that_was_never_taken_is_freed_with_its_guest(monkeypatch: pytest.MonkeyPatch) -> None:
    freed, delete = [], _capi.val_delete
    monkeypatch.setattr(_capi, "val_delete", lambda address: (freed.append(address), delete(address)))
    of = linked(component(RETURNED))

    with instance(of) as guest:
        guest.call("run")
        while not guest.poll():
            pass
        assert freed == []

    assert len(freed) == 1


def test_components_inside_a_component_call_each_other() -> None:
    memory = """(memory (export "memory") 1)
      (func (export "realloc") (param i32 i32 i32 i32) (result i32) i32.const 16)"""
    of = component(f"""(component
      (component $callee
        (core module $m {memory} (func (export "f") (param i32 i32) (result i32) (local.get 1)))
        (core instance $m (instantiate $m))
        (func (export "f") (param "text" string) (result u32) (canon lift (core func $m "f")
          (memory (core memory $m "memory")) (realloc (core func $m "realloc")))))
      (instance $callee (instantiate $callee))
      (component $caller
        (import "f" (func $f (param "text" string) (result u32)))
        (core module $libc {memory}) (core instance $libc (instantiate $libc))
        (core func $f (canon lower (func $f) (memory (core memory $libc "memory"))))
        (core module $m (import "host" "f" (func $f (param i32 i32) (result i32)))
          (func (export "run") (result i32) (call $f (i32.const 0) (i32.const 5))))
        (core instance $m (instantiate $m (with "host" (instance (export "f" (func $f))))))
        (func (export "run") (result u32) (canon lift (core func $m "run"))))
      (instance $caller (instantiate $caller (with "f" (func $callee "f"))))
      (export "run" (func $caller "run")))""")

    with instance(linked(of)) as guest:
        assert call(guest, "run") == 5
