"""The timer that ends slices runs whenever a guest is alive, while other threads start and end guests."""

from __future__ import annotations

import asyncio
import ctypes
import errno
import threading
from collections.abc import Iterator
from typing import Any, cast

import pytest
from wasmtime import wat2wasm

from alga_runner.engine import Calls, Engine, Linker, Module
from alga_runner.engine.native.ticker import TickerThread
from alga_runner.engine.ticker import Clock, PosixTimer, Ticker
from alga_runner.errors import EngineUnavailable

SPIN = '(module (memory (export "memory") 1) (func (export "spin") (param i32) (loop (br 0))))'


@pytest.fixture
def clock(engine: Engine) -> Clock:
    """The helper's thread where the engine has one."""
    if engine.native is not None:
        return TickerThread(engine.native, engine.pointer, 1)
    return PosixTimer(engine.pointer, 1)


@pytest.fixture
def ticker(clock: Clock) -> Iterator[Ticker]:
    ticker = Ticker(clock)
    yield ticker
    ticker.close()


@pytest.fixture
def armed(clock: Clock, monkeypatch: pytest.MonkeyPatch) -> list[bool]:
    """Whether the clock was started or stopped, each time that one of the two happened."""
    calls: list[bool] = []
    arm = clock.arm

    def record(on: bool) -> None:
        calls.append(on)
        arm(on)

    monkeypatch.setattr(clock, "arm", record)
    return calls


def test_it_runs_from_the_first_guest_to_the_last(ticker: Ticker, armed: list[bool]):
    ticker.acquire()
    ticker.acquire()
    ticker.release()
    assert armed == [True]

    ticker.release()

    assert armed == [True, False]


def test_a_guest_that_starts_in_another_thread_while_it_is_stopped_finds_it_running(
    ticker: Ticker, clock: Clock, armed: list[bool], monkeypatch: pytest.MonkeyPatch
):
    other = threading.Thread(target=ticker.acquire)
    arm = clock.arm

    def stop_slowly(on: bool) -> None:
        if not on:
            other.start()
            other.join(0.05)  # as long as the other could need, if nothing kept it waiting
        arm(on)

    monkeypatch.setattr(clock, "arm", stop_slowly)
    ticker.acquire()
    ticker.release()
    other.join()

    assert armed == [True, False, True]
    assert ticker.live == 1


def test_it_runs_on_a_moment_for_the_guest_that_comes_next(ticker: Ticker, armed: list[bool]):
    async def two_in_a_row() -> None:
        for _ in range(2):
            ticker.acquire()
            ticker.release()

    asyncio.run(two_in_a_row())

    assert armed == [True]


def test_a_loop_that_ended_before_the_moment_was_over_does_not_keep_the_next_one_from_stopping_it(
    ticker: Ticker, armed: list[bool], monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr("alga_runner.engine.ticker.IDLE_S", 0)

    async def live(iterations: int) -> None:
        ticker.acquire()
        ticker.release()
        for _ in range(iterations):
            await asyncio.sleep(0)

    asyncio.run(live(iterations=0))
    asyncio.run(live(iterations=3))

    assert armed[-1] is False
    assert not ticker._stops_in


def test_a_timer_that_cannot_be_started_is_not_taken_for_one_that_runs(
    ticker: Ticker, clock: Clock, monkeypatch: pytest.MonkeyPatch
):
    def fail(_on: bool) -> None:
        raise EngineUnavailable("The native timer cannot be set.")

    with monkeypatch.context() as broken:
        broken.setattr(clock, "arm", fail)
        with pytest.raises(EngineUnavailable):
            ticker.acquire()
    assert ticker.live == 0

    ticker.acquire()

    assert ticker._runs


def test_no_guest_starts_once_it_is_gone(ticker: Ticker):
    ticker.close()

    with pytest.raises(EngineUnavailable, match="about to end"):
        ticker.acquire()


def test_a_timer_that_cannot_be_set_is_an_error(engine: Engine, monkeypatch: pytest.MonkeyPatch):
    timer = PosixTimer(engine.pointer, 1)
    monkeypatch.setattr(timer, "_settime", lambda *_: -1)

    with pytest.raises(EngineUnavailable, match="cannot be set"):
        timer.arm(True)

    timer.close()


def test_a_clock_is_closed_once(clock: Clock):
    clock.close()
    clock.close()
    clock.arm(True)


def test_a_thread_that_cannot_be_started_is_an_error(engine: Engine):
    class NoThreads:
        @staticmethod
        def ticker_start(_engine: int, _interval: int, error: int) -> None:
            ctypes.c_int32.from_address(error).value = errno.EAGAIN

    with pytest.raises(EngineUnavailable, match="cannot be started: Resource temporarily unavailable"):
        TickerThread(cast("Any", NoThreads), engine.pointer, 1)


def test_the_clock_ticks_while_it_is_on(engine: Engine, clock: Clock):
    """A guest that computes without end is interrupted by nothing else."""
    linked = Linker(engine, []).link(Module(engine, bytes(wat2wasm(SPIN))))
    engine.ticker.stop_if_idle()
    with linked.new_guest(engine.limits) as guest:
        engine.ticker._arm(on=False)
        guest.start(Calls("spin"), 0)
        for _ in range(3):
            clock.arm(True)
            assert not guest.poll()
            clock.arm(False)
        clock.close()
