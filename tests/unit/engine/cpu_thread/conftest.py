"""CPU threads, and guests with a call started for them."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Iterator
from typing import Any

import pytest

from alga_runner.engine import Guest, GuestLimits, LinkedModule
from alga_runner.engine.cpu_thread import CpuThread
from tests.support.cpu_thread import Start, SteppedCpuThread


@pytest.fixture
async def stepped() -> AsyncIterator[SteppedCpuThread]:
    thread = SteppedCpuThread()
    yield thread
    thread.stop()


@pytest.fixture
def cpu_thread() -> Iterator[CpuThread]:
    thread = CpuThread()
    yield thread
    thread.stop()


@pytest.fixture
def polled(monkeypatch: pytest.MonkeyPatch) -> list[Guest]:
    """The guests whose slices were run, in order."""
    guests: list[Guest] = []
    poll = Guest.poll

    def record(guest: Guest, *, release_gil: bool = False) -> bool:
        guests.append(guest)
        return poll(guest, release_gil=release_gil)

    monkeypatch.setattr(Guest, "poll", record)
    return guests


@pytest.fixture
def start(linked: LinkedModule, answered: LinkedModule, limits: GuestLimits) -> Iterator[Start]:
    """Start a call in a fresh guest, whose host calls do not suspend it if there is an ``answer``.

    Gives the guest, which is closed at the end of the test.
    """
    guests: list[Guest] = []

    def begin(export: str, argument: int = 1, *, answer: Callable[..., Any] | None = None) -> Guest:
        guest = (answered if answer else linked).new_guest(limits)
        guests.append(guest)
        guest.instantiate()
        assert guest.poll()
        guest.answerer = answer
        guest.call(export, argument)
        return guest

    yield begin
    for guest in guests:
        guest.close()
    assert linked.engine.ticker.live == 0
