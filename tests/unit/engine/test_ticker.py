"""The timer that ends slices runs whenever a guest is alive, while other threads start and end guests."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Iterator

import pytest

from alga_runner.engine import Engine
from alga_runner.engine.ticker import Ticker
from alga_runner.errors import EngineUnavailable


@pytest.fixture
def ticker(engine: Engine) -> Iterator[Ticker]:
    ticker = Ticker(engine.pointer, 1)
    yield ticker
    ticker.close()


@pytest.fixture
def armed(ticker: Ticker, monkeypatch: pytest.MonkeyPatch) -> list[bool]:
    """Whether the timer was started or stopped, each time that one of the two happened."""
    calls: list[bool] = []
    settime = ticker._settime

    def record(timer: object, flags: int, spec: bytes, before: None) -> int:
        calls.append(spec is ticker._on)
        return settime(timer, flags, spec, before)

    monkeypatch.setattr(ticker, "_settime", record)
    return calls


def test_it_runs_from_the_first_guest_to_the_last(ticker: Ticker, armed: list[bool]):
    ticker.acquire()
    ticker.acquire()
    ticker.release()
    assert armed == [True]

    ticker.release()

    assert armed == [True, False]


def test_a_guest_that_starts_in_another_thread_while_it_is_stopped_finds_it_running(
    ticker: Ticker, armed: list[bool], monkeypatch: pytest.MonkeyPatch
):
    other = threading.Thread(target=ticker.acquire)
    settime = ticker._settime

    def stop_slowly(timer: object, flags: int, spec: bytes, before: None) -> int:
        if spec is ticker._off:
            other.start()
            other.join(0.05)  # as long as the other could need, if nothing kept it waiting
        return settime(timer, flags, spec, before)

    monkeypatch.setattr(ticker, "_settime", stop_slowly)
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
    ticker: Ticker, monkeypatch: pytest.MonkeyPatch
):
    with monkeypatch.context() as broken:
        broken.setattr(ticker, "_settime", lambda *_: -1)
        with pytest.raises(EngineUnavailable):
            ticker.acquire()
    assert ticker.live == 0

    ticker.acquire()

    assert ticker._runs


def test_no_guest_starts_once_it_is_gone(ticker: Ticker):
    ticker.close()

    with pytest.raises(EngineUnavailable, match="about to end"):
        ticker.acquire()
