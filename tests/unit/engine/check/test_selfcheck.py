"""A wasmtime that misbehaves is noticed before it runs a guest, and the error names how."""

from __future__ import annotations

import ctypes
from collections.abc import Callable, Iterator
from itertools import count
from typing import Any

import pytest

from alga_runner import Runner, Settings
from alga_runner.engine import Engine, EngineConfig, _capi, engine_context, require_sound
from alga_runner.engine.check import selfcheck
from alga_runner.engine.native.library import choose, default_mode
from alga_runner.errors import EngineUnavailable

_tables = count(1_000)


@pytest.fixture
def engine() -> Engine:
    """An engine with one slot that no other test has: a broken one stays broken."""
    return engine_context.engine(
        EngineConfig(max_guests=1, max_memory_bytes=1 << 20, max_table_elements=next(_tables))
    )


@pytest.fixture
def broken(monkeypatch) -> Iterator[Callable[..., None]]:
    """Put something else in the place of one of wasmtime's functions, or of an address; it is given the real one."""
    helper = choose(default_mode())
    kept = []

    def replace(name: str, other: Callable[..., Any]) -> None:
        real = getattr(_capi, name)
        if isinstance(real, int):
            kept.append(ctypes.CFUNCTYPE(ctypes.c_bool, ctypes.c_void_p)(lambda flag: other(real, flag)))
            monkeypatch.setattr(_capi, name, _capi.address(kept[-1]))
        else:
            kind = ctypes.CFUNCTYPE(real.restype, *real.argtypes)
            kept.append(kind(lambda *arguments: other(real, *arguments)))
            monkeypatch.setattr(_capi, name, kept[-1])
        if helper is not None:
            helper.connect()

    yield replace
    monkeypatch.undo()
    if helper is not None:
        helper.connect()


def fault(engine: Engine) -> str:
    with pytest.raises(EngineUnavailable) as caught:
        selfcheck.check(engine)
    assert "requirements/runtime.txt" in (caught.value.hint or "")
    return str(caught.value)


def test_the_installed_wasmtime_passes(engine) -> None:
    tried: list[str] = []

    selfcheck.check(engine, tried.append)

    assert tried == ["to compile a module", *selfcheck._STEPS]
    assert engine.ticker.live == 0


def test_an_engine_is_tried_once(engine, monkeypatch) -> None:
    tried: list[Engine] = []
    monkeypatch.setattr(selfcheck, "check", tried.append)

    require_sound(engine)
    require_sound(engine)

    assert tried == [engine]


def test_an_engine_that_failed_is_tried_again(engine, broken) -> None:
    works = []
    broken("future_poll", lambda real, future: real(future) if works else False)
    with pytest.raises(EngineUnavailable):
        require_sound(engine)

    works.append(True)
    require_sound(engine)


def test_a_future_that_never_next_scheduled(engine, broken) -> None:
    broken("future_poll", lambda _real, _future: False)

    assert "it came to no end" in fault(engine)


def test_a_future_that_ends_too_early(engine, broken) -> None:
    # A slice that a tick ended early goes on; a guest that waits for an answer does not.
    broken("future_poll", lambda real, future: any(real(future) for _ in range(20)) or True)

    assert "to suspend a guest in a host call and to go on with the answer, it did not wait" in fault(engine)


def test_a_guest_that_does_not_wait_for_its_answer(engine, broken) -> None:
    broken("ready_when_nonzero", lambda _real, _flag: True)

    assert "When asked to suspend a guest in a host call" in fault(engine)


def test_a_guest_that_waits_for_an_answer_it_has(engine, broken) -> None:
    broken("ready_when_nonzero", lambda _real, _flag: False)

    assert "to suspend a guest in a host call and to go on with the answer, it came to no end" in fault(
        engine
    )


def test_an_argument_that_arrives_as_another(engine, broken) -> None:
    def call_async(real: Callable[..., Any], context: int, function: int, argument: int, *rest: Any) -> Any:
        ctypes.c_int32.from_address(argument + _capi.VAL_OF).value += 1
        return real(context, function, argument, *rest)

    broken("call_async", call_async)

    assert "it garbled the arguments: [(8,)]" in fault(engine)


def test_memory_that_is_somewhere_else(engine, broken) -> None:
    broken("memory_data", lambda real, *arguments: real(*arguments) + 64)

    assert "it made 0 of 41 + 1" in fault(engine)


def test_memory_that_still_holds_what_another_guest_wrote(engine, broken) -> None:
    def memory_data(real: Callable[..., Any], *arguments: Any) -> Any:
        base = real(*arguments)
        ctypes.c_int32.from_address(base + 8).value = 42
        return base

    broken("memory_data", memory_data)

    assert "it showed a guest what another had left in memory" in fault(engine)


def test_a_trap_that_is_told_as_another(engine, broken) -> None:
    def trap_code(real: Callable[..., Any], trap: int, number: int) -> Any:
        known = real(trap, number)
        ctypes.c_uint8.from_address(number).value = 1
        return known

    broken("trap_code", trap_code)

    assert "When asked to run into a trap, it gave GuestTrap(" in fault(engine)


@pytest.mark.parametrize(
    ("name", "step"), [("error_trace", "to end a guest in a host call"), ("trap_trace", "to run into a trap")]
)
def test_a_stack_that_is_empty(engine, broken, name: str, step: str) -> None:
    broken(name, lambda _real, _pointer, _vector: None)

    assert f"When asked {step}, it gave [] for the guest's stack" in fault(engine)


def test_a_guest_that_goes_on_although_the_host_ended_it(engine, broken) -> None:
    broken("trap_new", lambda _real, _message, _length: None)

    assert "When asked to end a guest in a host call" in fault(engine)


def test_a_guest_that_nothing_interrupts(engine, monkeypatch) -> None:
    monkeypatch.setattr(engine.ticker, "_arm", lambda **_on: None)
    monkeypatch.setattr(selfcheck, "_LONG", 100_000)

    assert "When asked to interrupt a guest that computes, it let it run to its end" in fault(engine)


def test_slots_that_do_not_come_back(engine, broken) -> None:
    broken("store_delete", lambda _real, _store: None)

    assert "Overloaded: Every slot for guests is taken" in fault(engine)


def test_an_export_that_cannot_be_found(engine, broken) -> None:
    broken("instance_export_get", lambda _real, *_arguments: False)

    assert "When asked to answer a host call immediately" in fault(engine)


@pytest.mark.anyio
async def test_a_runner_does_not_start_on_it(broken) -> None:
    broken("future_poll", lambda _real, _future: False)

    with pytest.raises(EngineUnavailable, match="came to no end"):
        async with Runner(Settings(max_guests=1, max_memory_mb=1, max_table_elements=next(_tables))):
            pass
