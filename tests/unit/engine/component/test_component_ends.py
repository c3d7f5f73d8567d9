"""How a component's execution ends: by itself, by a fault of its own, or by its owner, wherever it is."""

from __future__ import annotations

import sys
from itertools import count
from time import monotonic
from typing import Any

import anyio
import pytest

from alga_runner.engine import (
    Budget,
    Component,
    ComponentGuest,
    GuestLimits,
    LinkedComponent,
    ValueType,
    run_call,
)
from alga_runner.errors import (
    AlgaError,
    CanonicalAbiBreach,
    CpuLimit,
    DeadlineExceeded,
    ExportMissing,
    GuestTrap,
    HostFunctionMissing,
    MemoryLimit,
    ModuleUnsupported,
    ResourceLimit,
    StackLimit,
    TableLimit,
)
from tests.support.component_relay import relay
from tests.support.components import (
    call,
    calling,
    component,
    component_engine,
    handler,
    instance,
    linked,
    run,
)
from tests.support.patience import PASSED, PATIENCE_S, computes

drive: Any = sys.modules["alga_runner.engine.drive"]
MIB = 1024 * 1024
SPIN = '(func (export "run") (loop $again (br $again)))'
CALL_U32 = '(import "host" "call" (func $call (result i32))) (func (export "run") (result i32) (call $call))'
CALL_NOTHING = """(import "host" "call" (func $call))
  (func (export "run") (call $call) (loop $again (br $again)))"""


def test_a_result_is_returned_once() -> None:
    with instance(
        linked(component(handler('(func (export "run") (result i32) i32.const 7)', "u32")))
    ) as guest:
        assert call(guest, "run") == 7
        assert guest.result() is None
        assert call(guest, "run") == 7


def test_an_export_that_is_not_there_is_named() -> None:
    with instance(linked(component(handler(SPIN)))) as guest, pytest.raises(ExportMissing, match="other"):
        guest.call("other")


@pytest.mark.parametrize(
    ("core", "code"),
    [
        ("unreachable", "unreachable"),
        ("(drop (i32.load (i32.const -4)))", "memory_out_of_bounds"),
        ("(drop (i32.div_u (i32.const 1) (i32.const 0)))", "integer_division_by_zero"),
        ("(drop (i32.trunc_f32_s (f32.const nan)))", "bad_conversion_to_integer"),
    ],
)
def test_a_trap_has_its_code_and_a_stack(core: str, code: str) -> None:
    of = linked(component(handler(f'(func $broken (export "run") {core})')))

    with instance(of) as guest, pytest.raises(GuestTrap) as caught:
        call(guest, "run")

    assert caught.value.trap_code == code
    assert caught.value.frames[0].function == "broken"


def test_endless_recursion_is_the_limit_of_the_stack() -> None:
    of = linked(component(handler('(func $f (export "run") (call $f))')))

    with instance(of) as guest, pytest.raises(StackLimit):
        call(guest, "run")


@pytest.mark.parametrize(
    ("result", "core"),
    [
        (
            "string",
            "(i32.store (i32.const 0) (i32.const -8)) (i32.store (i32.const 4) (i32.const 4)) i32.const 0",
        ),
        ("string", "i32.const 2"),
        ("char", "i32.const 0xd800"),
        ("(option u8)", "(i32.store8 (i32.const 0) (i32.const 9)) i32.const 0"),
    ],
)
def test_a_result_that_breaks_the_canonical_abi_is_a_breach(result: str, core: str) -> None:
    guest_text = handler(f'(func (export "run") (result i32) {core})', result)

    with instance(linked(component(guest_text))) as guest, pytest.raises(CanonicalAbiBreach):
        call(guest, "run")


def test_a_memory_that_starts_larger_than_the_limit_is_the_limit_of_memory() -> None:
    of = linked(component("(component (core module $m (memory 100)) (core instance (instantiate $m)))"))

    with pytest.raises(MemoryLimit), instance(of, limits=GuestLimits(MIB, 100)):
        pass


def test_a_table_that_starts_larger_than_the_limit_is_the_limit_of_tables() -> None:
    of = linked(
        component("(component (core module $m (table 200 funcref)) (core instance (instantiate $m)))")
    )

    with pytest.raises(TableLimit), instance(of, limits=GuestLimits(MIB, 100)):
        pass


MODULE = "(core module $m {}) {}"
INSTANCE = "(core instance (instantiate $m))"
NESTED = "(component $c (core module $m {}) (core instance (instantiate $m))) {}"


def doubled(times: int) -> str:
    """Components inside each other, each of which is two of the next: two to the power of ``times`` core instances."""
    text = f"(component $c0 (core module $m) {INSTANCE})"
    for n in range(1, times + 1):
        text = f"(component $c{n} {text} {f'(instance (instantiate $c{n - 1}))' * 2})"
    return f"{text} (instance (instantiate $c{times}))"


@pytest.mark.parametrize(
    ("text", "limit", "words"),
    [
        pytest.param(
            MODULE.format("(memory 1)", INSTANCE * 3), MemoryLimit, "more memories", id="three memories"
        ),
        pytest.param(
            MODULE.format("(memory 1)" * 40, INSTANCE), MemoryLimit, "more memories", id="forty in a module"
        ),
        pytest.param(
            NESTED.format("(memory 1)", "(instance (instantiate $c))" * 1000),
            MemoryLimit,
            "more memories",
            id="a thousand in inner components",
        ),
        pytest.param(
            MODULE.format("(table 1 funcref)" * 9, INSTANCE), TableLimit, "more tables", id="nine tables"
        ),
        pytest.param(
            MODULE.format("(table 1 funcref)", INSTANCE * 9), TableLimit, "more tables", id="one in nine"
        ),
        pytest.param(MODULE.format("", INSTANCE * 33), ResourceLimit, "more core instances", id="33"),
        pytest.param(MODULE.format("", INSTANCE * 40), ResourceLimit, "more core instances", id="40"),
        pytest.param(
            NESTED.format("", "(instance (instantiate $c))" * 1000),
            ResourceLimit,
            "more core instances",
            id="a thousand inner instances",
        ),
        pytest.param(doubled(10), ResourceLimit, "more core instances", id="doubled ten times"),
    ],
)
def test_a_component_of_too_many_parts_is_refused_by_the_limit_of_that_part(
    text: str, limit: type[AlgaError], words: str
) -> None:
    of = linked(component(f"(component {text})"))

    with pytest.raises(limit, match=words), instance(of):
        pass


@pytest.mark.parametrize(
    "text", [MODULE.format("", INSTANCE * 32), MODULE.format("(memory 1)", INSTANCE * 2)]
)
def test_a_component_of_as_many_parts_as_it_may_have_runs(text: str) -> None:
    with instance(linked(component(f"(component {text})"))):
        pass


def test_more_instances_than_wasmtime_reads_do_not_validate() -> None:
    with pytest.raises(ModuleUnsupported, match="instances count exceeds limit"):
        component(f"(component (component $c) {'(instance (instantiate $c))' * 5000})")


def test_a_function_that_the_host_lacks_fails_only_when_it_is_called() -> None:
    of = linked(component(calling(CALL_U32, "(func (result u32))", result="u32")))

    assert of.missing == ["test:host/api call"]
    with instance(of) as guest, pytest.raises(HostFunctionMissing, match="test:host/api call"):
        call(guest, "run")


@pytest.mark.parametrize("suspends", [False, True])
def test_an_error_of_the_host_ends_the_guest_with_its_stack(suspends: bool) -> None:
    def answer(_: object) -> int:
        raise MemoryLimit("no more")

    of = linked(component(calling(CALL_U32, "(func (result u32))", result="u32")), answer, suspends=suspends)

    with pytest.raises(MemoryLimit, match="no more") as caught:
        _execute(of, Budget())

    assert caught.value.where["host_call"] == "test:host/api call"
    assert caught.value.frames


U8 = ValueType("u8")
RETURNED: dict[str, tuple[ValueType, object]] = {
    "bool": (ValueType("bool"), True),
    "u8": (U8, 1),
    "f64": (ValueType("f64"), 1.0),
    "char": (ValueType("char"), "x"),
    "string": (ValueType("string"), "text"),
    "bytes": (ValueType("list", element=U8), b"bytes"),
    "list": (ValueType("list", element=ValueType("string")), ["one", "two"]),
    "record": (ValueType("record", (("name", U8), ("other", ValueType("string")))), {"name": 1, "other": ""}),
    "tuple": (ValueType("tuple", (("0", U8), ("1", U8))), (1, 2)),
    "variant": (ValueType("variant", (("none", None), ("some", U8))), ("some", 1)),
    "enum": (ValueType("enum", names=("one", "two")), "two"),
    "option": (ValueType("option", element=U8), 1),
    "result": (ValueType("result", element=U8, error=ValueType("string")), ("err", "no")),
    "flags": (ValueType("flags", names=("one", "two")), frozenset({"one"})),
}


@pytest.mark.parametrize(("of", "value"), RETURNED.values(), ids=RETURNED)
def test_an_error_that_is_raised_after_the_guest_was_suspended_ends_it_whatever_the_function_returns(
    of: ValueType, value: object
) -> None:
    async def answer(_: object, __: object) -> object:
        await anyio.lowlevel.checkpoint()
        raise MemoryLimit("no more")

    relays = linked(Component(component_engine(), relay([of])), answer, suspends=True)

    for _ in range(2):
        with pytest.raises(MemoryLimit, match="no more") as caught:
            anyio.run(_run, relays, Budget(), "f0", value)

    assert caught.value.where["host_call"] == "test:relay/host f0"
    assert caught.value.frames


def test_an_error_that_is_raised_after_the_guest_was_suspended_ends_one_that_is_given_nothing() -> None:
    async def answer(_: object) -> None:
        await anyio.lowlevel.checkpoint()
        raise MemoryLimit("no more")

    of = linked(component(calling(CALL_NOTHING, "(func)")), answer, suspends=True)

    with pytest.raises(MemoryLimit, match="no more") as caught:
        _execute(of, Budget())

    assert caught.value.where["host_call"] == "test:host/api call"
    assert caught.value.frames


@pytest.mark.parametrize("text", [CALL_U32, CALL_NOTHING])
def test_a_deadline_in_a_host_call_ends_the_guest_with_its_stack(text: str) -> None:
    result = "u32" if text is CALL_U32 else ""
    imported = f"(func {result and f'(result {result})'})"
    budget = Budget(monotonic() + PATIENCE_S, 10, "acme")

    async def answer(_: object) -> None:
        budget.deadline = PASSED  # not before: a guest that has to wait for its start would not start
        await anyio.sleep_forever()

    of = linked(component(calling(text, imported, result=result)), answer, suspends=True)

    with pytest.raises(DeadlineExceeded) as caught:
        _execute(of, budget)

    assert caught.value.where["host_call"] == "test:host/api call"
    assert caught.value.frames


def test_a_guest_that_computes_ends_at_its_limit_of_cpu_time() -> None:
    with pytest.raises(CpuLimit):
        _execute(linked(component(handler(SPIN))), Budget(monotonic() + 30, 0.02, "acme"))


def test_a_guest_that_computes_ends_at_its_deadline() -> None:
    budget = Budget(monotonic() + 2 * PATIENCE_S, PATIENCE_S, "acme")

    async def execute() -> None:
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(_run, linked(component(handler(SPIN))), budget)
            while not computes(budget):
                await anyio.lowlevel.checkpoint()
            budget.deadline = PASSED  # not before: a guest that has to wait for its start would not start

    with pytest.raises(ExceptionGroup) as caught:
        anyio.run(execute)

    [ended] = caught.value.exceptions
    assert isinstance(ended, DeadlineExceeded)
    assert ended.frames


def test_a_cancelled_execution_is_unwound_in_its_host_call() -> None:
    of = linked(
        component(calling(CALL_U32, "(func (result u32))", result="u32")),
        lambda _: anyio.sleep_forever(),
        suspends=True,
    )

    async def execute() -> bool:
        with anyio.CancelScope() as scope:
            async with anyio.create_task_group() as tasks:
                tasks.start_soon(_run, of, Budget(monotonic() + 30, 10, "acme"))
                await anyio.wait_all_tasks_blocked()
                scope.cancel()
        return scope.cancelled_caught

    assert anyio.run(execute)
    assert of.engine.ticker.live == 0


def test_a_start_function_that_traps_ends_the_instantiation() -> None:
    of = linked(
        component(
            "(component (core module $m (func $f unreachable) (start $f)) (core instance (instantiate $m)))"
        )
    )

    with pytest.raises(GuestTrap), instance(of):
        pass


def test_a_stream_in_a_type_does_not_reach_wasmtime() -> None:
    with pytest.raises(ModuleUnsupported):
        component('(component (import "f" (func (param "s" (stream u8)))))')


def test_a_type_that_doubles_is_not_read_to_its_end() -> None:
    types = ["(type $t0 (tuple u8 u8))"]
    types += [f"(type $t{n} (tuple $t{n - 1} $t{n - 1}))" for n in range(1, 15)]

    of = component(f'(component {" ".join(types)} (import "f" (func (param "value" $t14))))')

    assert of.imports[0].type is not None
    assert of.imports[0].type.unsupported == "more than 2000 types"


def test_enums_differ_by_their_names_alone() -> None:
    of = component("""(component (import "test:host/api" (instance
      (type $a (enum "x" "y")) (export "a" (type $one (eq $a)))
      (type $b (enum "x" "z")) (export "b" (type $two (eq $b)))
      (type $c (enum "x" "y")) (export "c" (type $three (eq $c)))
      (export "one" (func (result $one))) (export "two" (func (result $two)))
      (export "three" (func (result $three))))))""")

    assert [str(imported.type) for imported in of.imports] == [
        "func() -> enum { x, y }",
        "func() -> enum { x, z }",
        "func() -> enum { x, y }",
    ]


def _execute(of: LinkedComponent, budget: Budget) -> None:
    anyio.run(_run, of, budget)


async def _run(of: LinkedComponent, budget: Budget, export: str = "run", *given: object) -> None:
    def answerer(place: int, arguments: tuple[Any, ...]) -> Any:
        return of.functions[place].answer(None, *arguments)

    with ComponentGuest(of, of.engine.limits, max_items=10) as guest:
        guest.instantiate()
        await run_call(guest, answerer, budget)
        guest.call(export, *given)
        await run_call(guest, answerer, budget)


@pytest.mark.parametrize(("cpu_s", "overruns"), [(0.001, False), (0.006, True)])
def test_an_overrun_of_a_component_is_one_of_cpu_time(
    cpu_s: float, overruns: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    of = linked(component(handler('(func (export "run"))')))
    while of.computes:
        of.record_run(used_slice=False)
    clock, cpu = count(step=0.02), count(step=cpu_s)
    monkeypatch.setattr(drive, "monotonic", lambda: next(clock))
    monkeypatch.setattr(drive, "thread_time", lambda: next(cpu))

    with ComponentGuest(of, of.engine.limits, max_items=10) as guest:
        guest.instantiate()
        drive._run_slice(guest, Budget())

    assert of.overruns is overruns


def test_polling_continues_after_each_slice() -> None:
    counting = """(func (export "run") (result i32) (local $n i32)
      (loop $again (local.set $n (i32.add (local.get $n) (i32.const 1)))
        (br_if $again (i32.lt_u (local.get $n) (i32.const 20000000))))
      (local.get $n))"""

    with instance(linked(component(handler(counting, "u32")))) as guest:
        guest.call("run")
        run(guest)

        assert guest.result() == 20_000_000
