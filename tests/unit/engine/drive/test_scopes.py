"""A guest's deadline among the scopes of its caller and of the answers to its host calls."""

from __future__ import annotations

from time import monotonic
from typing import Any

import anyio
import pytest

from alga_runner.engine import Budget, LinkedModule
from alga_runner.errors import DeadlineExceeded
from tests.support.drive import Run, immediately, never
from tests.support.patience import PASSED

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

    async def answer(_function: int, _arguments: tuple[Any, ...]) -> None:
        with anyio.CancelScope(shield=True):
            await anyio.lowlevel.checkpoint()
            answered.append(True)
        await anyio.sleep_forever()

    with pytest.raises(DeadlineExceeded):
        await run(quick, "note", answer, Budget(deadline=PASSED))

    assert answered == [True]


async def test_a_guest_whose_answers_never_wait_ends_at_its_deadline(run: Run, quick: LinkedModule) -> None:
    with pytest.raises(DeadlineExceeded):
        await run(quick, "notes", immediately, Budget(deadline=PASSED), argument=1 << 30)


async def test_after_answers_that_did_not_wait_one_that_does_ends_at_the_deadline(
    run: Run, quick: LinkedModule
) -> None:
    calls = []

    async def answer(_function: int, _arguments: tuple[Any, ...]) -> None:
        calls.append(True)
        if len(calls) == 3:
            await anyio.sleep_forever()

    with pytest.raises(DeadlineExceeded):
        await run(quick, "notes", answer, Budget(deadline=PASSED), argument=5)

    assert len(calls) == 3
