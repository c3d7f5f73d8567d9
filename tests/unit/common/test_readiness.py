"""Checks run concurrently, for a bounded time, and never more often than once a second."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Iterable

import anyio
import pytest

from alga_common.readiness import OK, Check, Checks, Finding, document
from tests.support.clock import FakeMonotonic

pytestmark = pytest.mark.anyio

FINE = Finding("store", OK, "The store can be read.")
BROKEN = Finding("store", "unusable", "The store cannot be read.", "Mend it.", "disk /dev/secret1")

Run = Callable[[], Awaitable[Iterable[Finding]]]


@pytest.fixture
def anyio_backend() -> str:
    return "asyncio"


class Scripted:
    """A check that finds what the test sets, counted."""

    def __init__(self, *findings: Finding) -> None:
        self.findings = list(findings)
        self.times = 0

    async def __call__(self) -> list[Finding]:
        self.times += 1
        return self.findings


class Held(Scripted):
    """A check that waits until the test lets it go."""

    def __init__(self, *findings: Finding) -> None:
        super().__init__(*findings)
        self.begun, self.let_go = anyio.Event(), anyio.Event()

    async def __call__(self) -> list[Finding]:
        await super().__call__()
        self.begun.set()
        await self.let_go.wait()
        return self.findings


def checks(*runs: Run, clock: FakeMonotonic | None = None, limit_s: float = 10.0, **options: bool) -> Checks:
    return Checks(
        [Check(f"store{number or ''}", "The store", run, **options) for number, run in enumerate(runs)],
        clock=clock or FakeMonotonic(),
        limit_s=limit_s,
    )


async def test_a_flood_of_questions_makes_one_check() -> None:
    check = Scripted(FINE)
    survey = checks(check)

    async with anyio.create_task_group() as tasks:
        for _ in range(100):
            tasks.start_soon(survey.findings)
    await survey.findings()

    assert check.times == 1


async def test_a_result_is_used_for_a_second_and_no_longer() -> None:
    clock, check = FakeMonotonic(), Scripted(FINE)
    survey = checks(check, clock=clock)
    await survey.findings()

    check.findings = [BROKEN]
    clock.now = 0.9
    assert await survey.findings() == [FINE]
    clock.now = 1.0
    assert await survey.findings() == [BROKEN]


async def test_checks_run_concurrently() -> None:
    first, second = Held(FINE), Held(FINE)
    survey = checks(first, second)

    async with anyio.create_task_group() as tasks:
        tasks.start_soon(survey.findings)
        await first.begun.wait()
        await second.begun.wait()
        first.let_go.set()
        second.let_go.set()


async def test_a_check_that_hangs_fails_alone_and_is_not_made_twice() -> None:
    hanging, quick = Held(FINE), Scripted(FINE)
    survey = checks(hanging, quick, limit_s=0.0)

    [late, fine] = await survey.findings()
    await survey.findings()

    assert (late.code, late.sentence) == ("timed_out", "The store did not answer within 0 s.")
    assert "Look what keeps it busy" in (late.hint or "")
    assert not fine.failed
    assert hanging.times == 1
    await survey.aclose()


async def test_a_check_that_was_late_counts_once_it_has_ended() -> None:
    hanging = Held(FINE)
    survey = checks(hanging, limit_s=0.0)
    await survey.findings()

    hanging.let_go.set()
    await asyncio.sleep(0)
    await asyncio.sleep(0)

    assert await survey.findings() == [FINE]


async def test_a_cancelled_question_leaves_the_check_to_the_others() -> None:
    held = Held(FINE)
    survey = checks(held)
    with anyio.move_on_after(0):
        await survey.findings()

    held.let_go.set()

    assert (await survey.findings(), held.times) == ([FINE], 1)


async def test_a_check_that_breaks_is_a_failure_without_its_text() -> None:
    async def breaks() -> list[Finding]:
        raise RuntimeError("password=hunter2")

    [finding] = await checks(breaks).findings()

    assert (finding.code, finding.sentence) == (
        "check_failed",
        "The store could not be checked (RuntimeError).",
    )


async def test_its_own_checks_leave_the_other_half_alone() -> None:
    peer = Scripted(BROKEN)

    assert await checks(peer, of_peer=True).findings(own=True) == []
    assert peer.times == 0


async def test_the_answer_shows_codes_and_sentences_but_no_details() -> None:
    answer = document([FINE, BROKEN])

    assert answer == {
        "status": "not_ready",
        "checks": {"store": "unusable"},
        "failures": {"store": "The store cannot be read."},
    }


async def test_a_watch_logs_each_failure_when_it_is_new_and_ends_when_nothing_fails() -> None:
    clock, check = FakeMonotonic(), Scripted(BROKEN)
    other = Finding("store", "refused", "The store refuses the token.")
    later = iter([[BROKEN], [other], [FINE]])
    logged: list[str] = []

    async def sleep(seconds: float) -> None:
        clock.now += seconds
        check.findings = next(later)

    await checks(check, clock=clock).watch(lambda finding: logged.append(finding.code), sleep=sleep)

    assert logged == ["unusable", "refused"]
    assert check.times == 4
