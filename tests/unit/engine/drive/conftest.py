"""Guests inside an event loop, and where their slices run."""

from __future__ import annotations

import sys
from typing import Any

import pytest

from alga_runner.engine import (
    Budget,
    Guest,
    GuestLimits,
    LinkedModule,
    run_call,
    this_thread,
)
from tests.support.drive import Run, Time, record_frees


@pytest.fixture
def slices(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Where each slice ran, in order: ``loop``, or ``cpu`` for the CPU thread."""
    threads: list[str] = []
    poll = Guest.poll

    def record(guest: Guest, *, release_gil: bool = False) -> bool:
        threads.append("cpu" if release_gil else "loop")
        return poll(guest, release_gil=release_gil)

    monkeypatch.setattr(Guest, "poll", record)
    return threads


@pytest.fixture
def run(limits: GuestLimits) -> Run:
    """Instantiate a fresh guest, call an export of it, and close it."""

    async def call(
        linked: LinkedModule, export: str, answer: Any = None, budget: Budget | None = None, argument: int = 1
    ) -> None:
        with linked.new_guest(limits) as guest:
            guest.instantiate()
            await run_call(guest, answer)
            guest.call(export, argument)
            await run_call(guest, answer, budget)

    return call


@pytest.fixture
def prompt(quick: LinkedModule) -> LinkedModule:
    """The module whose functions were answered without waiting so far."""
    quick.prompt.update(range(len(quick.functions)))
    return quick


@pytest.fixture(params=["new", "prompt"])
def either(request: pytest.FixtureRequest, quick: LinkedModule) -> LinkedModule:
    """The module whose functions were never called, and the one whose were answered without waiting so far."""
    linked: LinkedModule = request.getfixturevalue("prompt") if request.param == "prompt" else quick
    return linked


@pytest.fixture
def time(monkeypatch: pytest.MonkeyPatch) -> Time:
    """The loop scheduler's clock does not move: iterations have time while ``left`` is true."""
    time, scheduler = Time(), this_thread.loop_scheduler
    may_continue, admits = scheduler.may_continue, scheduler._admits
    monkeypatch.setattr(sys.modules["alga_runner.engine.loop_scheduler"], "monotonic", lambda: 1.0)
    monkeypatch.setattr(scheduler, "may_continue", lambda: time.left and may_continue())
    monkeypatch.setattr(scheduler, "_admits", lambda *who, **others: time.left and admits(*who, **others))
    return time


@pytest.fixture
def freed(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The threads in which guests were freed."""
    return record_frees(monkeypatch)
