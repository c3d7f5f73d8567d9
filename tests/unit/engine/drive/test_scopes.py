"""A guest's deadline among the scopes of its caller and of the answers to its host calls."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from itertools import count
from time import monotonic
from typing import Any

import anyio
import pytest

from alga_runner.engine import Budget, LinkedModule, wait_to_start
from alga_runner.errors import DeadlineExceeded, EngineUnavailable, HostCallLimit
from tests.support.drive import Run, Time, immediately, never
from tests.support.patience import PASSED, PATIENCE_S, keep_guests_on_the_loop, start_guests_when_they_ask

pytestmark = pytest.mark.anyio


async def test_a_caller_s_shield_holds_while_a_guest_waits(run: Run, quick: LinkedModule) -> None:
    answered = []

    async def answer(_function: int, _arguments: tuple[Any, ...]) -> None:
        scope.cancel()
        await anyio.lowlevel.checkpoint()
        answered.append(True)

    with anyio.CancelScope() as scope, anyio.CancelScope(shield=True):
        await run(quick, "note", answer, Budget(deadline=monotonic() + 60))

    assert answered == [True]


async def test_a_caller_s_own_deadline_is_not_the_guest_s(run: Run, quick: LinkedModule) -> None:
    with anyio.CancelScope(deadline=anyio.current_time()) as scope:
        await run(quick, "note", never, Budget(deadline=monotonic() + 60))

    assert scope.cancelled_caught


async def test_the_deadline_of_a_guest_ends_it_inside_a_caller_s_shield(
    run: Run, quick: LinkedModule
) -> None:
    with anyio.CancelScope(shield=True), pytest.raises(DeadlineExceeded):
        await run(quick, "note", never, Budget(deadline=PASSED))


async def test_an_answer_s_shield_holds_past_the_deadline(run: Run, quick: LinkedModule) -> None:
    answered = []
    budget = Budget(deadline=monotonic() + PATIENCE_S)

    async def answer(_function: int, _arguments: tuple[Any, ...]) -> None:
        budget.deadline = PASSED  # not before: a guest that has to wait for its start would not start
        with anyio.CancelScope(shield=True):
            await anyio.lowlevel.checkpoint()
            answered.append(True)
        await anyio.sleep_forever()

    with pytest.raises(DeadlineExceeded):
        await run(quick, "note", answer, budget)

    assert answered == [True]


async def test_a_guest_whose_answers_never_wait_ends_at_its_deadline(run: Run, quick: LinkedModule) -> None:
    with pytest.raises(DeadlineExceeded):
        await run(quick, "notes", immediately, Budget(deadline=PASSED), argument=1 << 30)


async def test_after_answers_that_did_not_wait_one_that_does_ends_at_the_deadline(
    run: Run, quick: LinkedModule
) -> None:
    calls = []
    budget = Budget(deadline=monotonic() + PATIENCE_S)

    async def answer(_function: int, _arguments: tuple[Any, ...]) -> None:
        calls.append(True)
        if len(calls) == 3:
            budget.deadline = PASSED
            await anyio.sleep_forever()

    with pytest.raises(DeadlineExceeded):
        await run(quick, "notes", answer, budget, argument=5)

    assert len(calls) == 3


def promptly_then(waits: Callable[[], Awaitable[None]], late: Budget | None = None) -> Any:
    """Answers promptly, but for the third call, which waits unexpectedly; then the deadline of ``late`` has passed."""
    calls = count(1)

    async def answer(_function: int, _arguments: tuple[Any, ...]) -> None:
        if next(calls) == 3:
            if late is not None:
                late.deadline = PASSED
            await waits()

    return answer


async def test_a_guest_whose_answers_do_not_wait_needs_one_scope(
    run: Run, quick: LinkedModule, monkeypatch: pytest.MonkeyPatch
) -> None:
    opened = []
    open_scope = Budget.open_scope

    def record(budget: Budget) -> anyio.CancelScope:
        opened.append(budget)
        return open_scope(budget)

    keep_guests_on_the_loop(monkeypatch)
    start_guests_when_they_ask(monkeypatch)
    monkeypatch.setattr(Budget, "open_scope", record)
    await run(quick, "note", immediately, Budget())
    assert len(opened) == 1
    await run(quick, "notes", immediately, Budget(), argument=10)
    assert len(opened) == 1


async def test_an_answer_that_waits_after_prompt_ones_may_have_scopes_of_its_own(
    run: Run, prompt: LinkedModule
) -> None:
    ended = []

    async def wait() -> None:
        with anyio.move_on_after(0) as scope:
            await anyio.sleep_forever()
        ended.append(scope.cancelled_caught)
        with anyio.fail_after(PATIENCE_S):
            await anyio.lowlevel.checkpoint()
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(anyio.lowlevel.checkpoint)
        ended.append(True)

    await run(prompt, "notes", promptly_then(wait), Budget(deadline=monotonic() + 60), argument=5)

    assert ended == [True, True]


async def test_an_answer_that_waits_after_prompt_ones_names_its_call_when_the_deadline_passes(
    run: Run, prompt: LinkedModule
) -> None:
    budget = Budget(deadline=monotonic() + PATIENCE_S)

    with pytest.raises(DeadlineExceeded) as raised:
        await run(prompt, "notes", promptly_then(anyio.sleep_forever, budget), budget, argument=5)

    assert raised.value.where == {"host_call": "host note"}
    assert raised.value.frames


async def test_an_answer_that_waits_after_prompt_ones_ends_when_the_execution_is_stopped(
    run: Run, prompt: LinkedModule
) -> None:
    budget = Budget()

    async def wait() -> None:
        asyncio.get_running_loop().call_soon(budget.stop)
        await anyio.sleep_forever()

    with pytest.raises(EngineUnavailable):
        await run(prompt, "notes", promptly_then(wait), budget, argument=5)


async def test_an_answer_that_waits_after_prompt_ones_has_the_time_to_clean_up_after_the_deadline(
    run: Run, prompt: LinkedModule
) -> None:
    cleaned = []
    budget = Budget(deadline=monotonic() + PATIENCE_S)

    async def wait() -> None:
        try:
            await anyio.sleep_forever()
        finally:
            with anyio.CancelScope(shield=True):
                await anyio.lowlevel.checkpoint()
                cleaned.append(True)

    with pytest.raises(DeadlineExceeded):
        await run(prompt, "notes", promptly_then(wait, budget), budget, argument=5)

    assert cleaned == [True]


async def test_an_answer_that_waits_after_prompt_ones_is_cancelled_with_its_caller(
    run: Run, prompt: LinkedModule
) -> None:
    ended = []

    async def wait() -> None:
        scope.cancel()
        try:
            await anyio.sleep_forever()
        finally:
            ended.append(True)

    with anyio.CancelScope() as scope:
        await run(prompt, "notes", promptly_then(wait), Budget(deadline=monotonic() + 60), argument=5)

    assert scope.cancelled_caught
    assert ended == [True]


async def test_a_caller_that_leaves_while_a_late_answer_cleans_up_is_cancelled(
    run: Run, prompt: LinkedModule
) -> None:
    budget = Budget(deadline=monotonic() + PATIENCE_S)

    async def wait() -> None:
        try:
            await anyio.sleep_forever()
        finally:
            scope.cancel()
            await anyio.sleep_forever()

    with anyio.CancelScope() as scope:
        await run(prompt, "notes", promptly_then(wait, budget), budget, argument=5)

    assert scope.cancelled_caught


async def test_a_caller_s_shield_holds_while_an_answer_waits_after_prompt_ones(
    run: Run, prompt: LinkedModule
) -> None:
    answered = []

    async def wait() -> None:
        scope.cancel()
        await anyio.lowlevel.checkpoint()
        answered.append(True)

    with anyio.CancelScope() as scope, anyio.CancelScope(shield=True):
        await run(prompt, "notes", promptly_then(wait), Budget(deadline=monotonic() + 60), argument=5)

    assert answered == [True]


async def test_an_answer_that_waits_after_prompt_ones_may_end_the_guest(
    run: Run, prompt: LinkedModule
) -> None:
    async def wait() -> None:
        await anyio.lowlevel.checkpoint()
        raise HostCallLimit("too many")

    with pytest.raises(HostCallLimit) as raised:
        await run(prompt, "notes", promptly_then(wait), Budget(), argument=5)

    assert raised.value.where == {"host_call": "host note"}


async def test_an_answer_promptly_may_end_the_guest(run: Run, prompt: LinkedModule) -> None:
    calls = count(1)

    async def answer(_function: int, _arguments: tuple[Any, ...]) -> None:
        if next(calls) == 3:
            raise HostCallLimit("too many")

    with pytest.raises(HostCallLimit) as raised:
        await run(prompt, "notes", answer, Budget(), argument=5)

    assert raised.value.where == {"host_call": "host note"}
    assert raised.value.frames


@pytest.fixture
def looks_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    """Each wait is looked at in the next iteration of the loop."""
    monkeypatch.setattr("alga_runner.engine.budget.LOOKED_AT_S", 0.0)


@pytest.mark.usefixtures("looks_at_once")
async def test_an_answer_that_waits_for_long_ends_at_the_deadline(run: Run, either: LinkedModule) -> None:
    budget = Budget(deadline=monotonic() + 60)

    async def answer(_function: int, _arguments: tuple[Any, ...]) -> None:
        asyncio.get_running_loop().call_soon(setattr, budget, "deadline", PASSED)
        await anyio.sleep_forever()

    with pytest.raises(DeadlineExceeded):
        await run(either, "note", answer, budget)


@pytest.mark.usefixtures("looks_at_once")
async def test_a_wait_for_the_start_that_lasts_ends_at_the_deadline(time: Time) -> None:
    time.left = False
    budget = Budget(deadline=monotonic() + 60)
    asyncio.get_running_loop().call_soon(setattr, budget, "deadline", PASSED)

    with pytest.raises(DeadlineExceeded):
        await wait_to_start(budget)


@pytest.mark.usefixtures("looks_at_once")
async def test_waits_that_last_have_no_timers_long_before_the_deadline(
    run: Run, either: LinkedModule
) -> None:
    budget = Budget(deadline=monotonic() + 60)
    together, timers = [], []

    async def answer(_function: int, _arguments: tuple[Any, ...]) -> None:
        loop, released = asyncio.get_running_loop(), anyio.Event()

        def look() -> None:
            if budget.second is None:
                loop.call_soon(look)
            else:
                together.append((budget.second, list(budget.second.waits)))
                timers.append(budget.timer)
                released.set()

        look()
        await released.wait()

    await run(either, "note", answer, budget)

    assert budget.second is None
    assert [waits for _, waits in together] == [[budget]]
    assert timers == [None]
    for second, _ in together:
        assert not second.waits
        assert second.timer.cancelled()


@pytest.mark.usefixtures("looks_at_once")
async def test_a_wait_that_has_ended_leaves_no_timer(
    run: Run, either: LinkedModule, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("alga_runner.engine.budget.TOGETHER_S", 3_600.0)  # it has begun already
    budget = Budget(deadline=monotonic() + 60)
    timers = []

    async def answer(_function: int, _arguments: tuple[Any, ...]) -> None:
        loop, released = asyncio.get_running_loop(), anyio.Event()

        def look() -> None:
            if budget.timer is None:
                loop.call_soon(look)
            else:
                timers.append(budget.timer)
                released.set()

        look()
        await released.wait()

    await run(either, "note", answer, budget)

    assert budget.timer is None
    assert [timer.cancelled() for timer in timers] == [True]


async def test_a_wait_whose_deadline_is_near_has_a_timer_from_its_beginning(
    run: Run, either: LinkedModule
) -> None:
    budget = Budget(deadline=monotonic() + 60)
    timers = []

    async def answer(_function: int, _arguments: tuple[Any, ...]) -> None:
        await anyio.lowlevel.checkpoint()
        timers.append(budget.timer)

    await run(either, "note", answer, budget)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("alga_runner.engine.budget.LOOKED_AT_S", 60.0)
        await run(either, "note", answer, budget)

    assert [timer is not None for timer in timers] == [False, True]


def test_a_budget_has_no_dictionary():
    """One takes as much as three budgets, and ten thousand executions may wait."""
    assert not hasattr(Budget(), "__dict__")
