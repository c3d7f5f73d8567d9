"""How the supervisor keeps its workers, with processes that do as they are told: hang, die, speak nonsense."""

from __future__ import annotations

import logging
import os
import re
import signal
import socket
from collections.abc import AsyncIterator, Awaitable, Callable
from pathlib import Path

import anyio
import pytest

from alga_runner.errors import SettingsError, WorkerFailed
from alga_runner.service.reply_cache import ReplyCache
from alga_runner.settings import Settings
from alga_runner.workers import worker_pool as fleet_module
from alga_runner.workers.acceptor import ConnectionCounts
from alga_runner.workers.process import Plan
from alga_runner.workers.worker_pool import Crashes, WorkerPool

pytestmark = pytest.mark.anyio

SCRIPT = Path(__file__).with_name("scripted_worker.py")

Make = Callable[..., WorkerPool]


@pytest.fixture
async def make() -> AsyncIterator[Make]:
    """A fleet whose workers do what ``words`` say, and never wait before they are replaced."""
    with socket.create_server(("127.0.0.1", 0)) as listener, ConnectionCounts.create(9) as board:
        async with anyio.create_task_group() as tasks:

            def carry_out(words: str, *, workers: int = 1) -> WorkerPool:
                settings = Settings(bundle_store=words, shutdown_grace_ms=0)
                plan = Plan(settings, workers, True, listener, board, (str(SCRIPT),))
                ledger = ReplyCache.within(settings)
                fleets.append(WorkerPool(plan, tasks, ledger, crashes=lambda: Crashes(first_pause_s=0)))
                return fleets[-1]

            fleets: list[WorkerPool] = []
            yield carry_out
            for fleet in fleets:
                fleet.kill()
                await fleet.gone()
            tasks.cancel_scope.cancel()


@pytest.fixture
def said(caplog: pytest.LogCaptureFixture) -> Callable[[str], list[str]]:
    """The sentences of an action."""
    caplog.set_level(logging.INFO)
    return lambda action: [each.message for each in caplog.records if each.__dict__.get("action") == action]


async def until(condition: Callable[[], object]) -> None:
    with anyio.fail_after(60):
        while not condition():
            await anyio.lowlevel.checkpoint()


async def within_reason(wait: Callable[[], Awaitable[None]]) -> None:
    with anyio.fail_after(60):
        await wait()


# ---- Starts


async def test_all_start_and_have_a_number_and_a_seat_of_their_own(make: Make, said) -> None:
    fleet = make("ready", workers=3)

    await within_reason(fleet.start)

    workers = list(fleet._workers.values())
    assert sorted(worker.number for worker in workers) == [1, 2, 3]
    assert sorted(worker.seat for worker in workers) == [0, 1, 2]
    assert len(said("worker_started")) == 3


async def test_one_that_cannot_start_says_why(make: Make) -> None:
    with pytest.raises(SettingsError, match=r"It cannot\.") as refused:
        await make("fail", workers=2).start()

    assert refused.value.hint == "Mend it."


@pytest.mark.parametrize(
    ("words", "what"),
    [
        ("exit=7", "ended with exit status 7 before it answered."),
        ("die", "ended by SIGKILL before it answered."),
        ("die=40", "ended by signal 40 before it answered."),
        ("nonsense", "sent an unknown message, and was killed."),
    ],
)
async def test_one_that_does_not_get_as_far_as_answering_is_told_apart(
    make: Make, words: str, what: str
) -> None:
    with pytest.raises(WorkerFailed, match=rf"^Worker 1 \(process \d+\) {re.escape(what)}$"):
        await make(words).start()


async def test_a_system_without_a_process_to_give_is_told(make: Make, monkeypatch) -> None:
    fleet = make("ready", workers=2)
    monkeypatch.setattr("sys.executable", "/nowhere/python")

    with pytest.raises(WorkerFailed, match=r"^Worker \d cannot be started: No such file or directory\.$"):
        await fleet.start()

    assert fleet._workers == {}


async def test_one_that_never_answers_is_killed(make: Make, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(fleet_module, "START_S", 0.01)
    fleet = make("deaf")

    with pytest.raises(WorkerFailed, match="did not answer within"):
        await fleet.start()

    assert fleet._workers == {}


async def test_when_one_does_not_start_none_is_left(make: Make, tmp_path: Path) -> None:
    fleet = make(f"second={tmp_path / 'first'} ready", workers=2)

    with pytest.raises(WorkerFailed, match="with exit status 3"):
        await fleet.start()
    fleet.kill()
    await within_reason(fleet.gone)

    assert fleet._workers == {}


# ---- Deaths


async def test_one_that_dies_is_replaced_and_told_in_the_log(make: Make, said) -> None:
    fleet = make("ready", workers=2)
    await fleet.start()
    dead = fleet._current[2]

    os.kill(dead.pid, signal.SIGKILL)
    await until(lambda: fleet._current[2] is not dead)

    assert said("worker_died") == [f"Worker 2 (process {dead.pid}) died: it ended by SIGKILL"]
    assert fleet._current[2].answers


async def test_one_that_speaks_nonsense_is_killed_and_replaced(make: Make, said, tmp_path: Path) -> None:
    fleet = make("ready nonsense")
    await fleet.start()
    first = fleet._current[1]

    await until(lambda: fleet._current[1] is not first)

    assert (
        said("worker_broken")[0] == f"Worker 1 (process {first.pid}) sent an unknown message, and was killed."
    )


async def test_one_that_dies_again_and_again_ends_the_service(make: Make, said) -> None:
    fleet = make("ready die")
    await fleet.start()

    await within_reason(fleet.gone)

    assert len(said("worker_died")) == 5
    assert str(fleet.failure) == "Worker 1 died 5 times in a row, the last time by SIGKILL; the service ends."
    assert said("worker_failed") == [str(fleet.failure)]


async def test_replacements_that_do_not_start_count_too(make: Make, said, tmp_path: Path) -> None:
    fleet = make(f"second={tmp_path / 'first'} ready die")
    await fleet.start()

    await within_reason(fleet.gone)

    assert isinstance(fleet.failure, WorkerFailed)
    assert len(said("worker_died")) == 1


async def test_one_that_hangs_is_killed_and_replaced(make: Make, said, monkeypatch) -> None:
    monkeypatch.setattr(fleet_module, "HUNG_LOOKS", 2)
    monkeypatch.setattr(fleet_module, "LOOK_S", 0.001)
    fleet = make("ready deaf")
    await fleet.start()
    deaf = fleet._current[1]

    await until(lambda: fleet._current[1] is not deaf)

    assert said("worker_hung")[0] == f"Worker 1 (process {deaf.pid}) says nothing any more; it is killed"


# ---- Replacements


async def test_a_wish_is_granted_with_a_fresh_one_first(make: Make, said) -> None:
    fleet = make("ready", workers=2)
    await fleet.start()
    old = dict(fleet._current)

    fleet.roll()
    await until(
        lambda: all(fleet._current[number] is not old[number] for number in old) and len(fleet._workers) == 2
    )

    assert [worker.leaving for worker in old.values()] == [True, True]
    assert said("worker_died") == []
    assert len(said("worker_replaced")) == 2


async def test_they_leave_one_at_a_time(make: Make) -> None:
    fleet = make("ready", workers=3)
    await fleet.start()
    old = list(fleet._current.values())
    most = 0

    fleet.roll()
    while not all(worker.ended.is_set() for worker in old):
        assert sum(worker.answers for worker in fleet._workers.values()) >= 3
        most = max(most, len(fleet._workers))
        await anyio.lowlevel.checkpoint()

    assert most == 4


async def test_one_that_cannot_be_replaced_stays(make: Make, said, tmp_path: Path) -> None:
    fleet = make(f"second={tmp_path / 'first'} ready")
    await fleet.start()
    worker = fleet._current[1]

    fleet.roll()
    await until(lambda: said("worker_failed"))

    assert fleet._current[1] is worker
    assert worker.answers
    assert "stays, for no other starts: " in said("worker_failed")[0]


async def test_one_that_dies_while_it_waits_for_its_turn_is_replaced_at_once(make: Make) -> None:
    fleet = make("ready", workers=2)
    await fleet.start()
    worker = fleet._current[1]
    async with fleet._turn:
        worker.wants("asked")
        await anyio.wait_all_tasks_blocked()
        os.kill(worker.pid, signal.SIGKILL)
        await until(lambda: fleet._current[1] is not worker)

    assert fleet._current[1].answers


# ---- Ends


@pytest.mark.parametrize("order", ["drain", "stop"])
async def test_all_end_when_they_are_told_to(make: Make, said, order: str) -> None:
    fleet = make("ready", workers=2)
    await fleet.start()

    fleet.end(order, 60)
    await within_reason(fleet.gone)

    assert said("worker_died") == said("worker_hung") == []
    assert fleet.failure is None


async def test_one_that_does_not_end_is_killed(make: Make, said) -> None:
    fleet = make("ready deaf")
    await fleet.start()

    fleet.end("stop", 0.01)
    await within_reason(fleet.gone)

    assert len(said("worker_hung")) == 1


async def test_those_that_still_start_are_ended_at_once(make: Make) -> None:
    fleet = make("deaf", workers=2)
    async with anyio.create_task_group() as tasks:
        tasks.start_soon(fleet.start)
        await until(lambda: len(fleet._workers) == 2)
        fleet.end("drain", 60)
        await within_reason(fleet.gone)

    assert fleet.failure is None


async def test_once_all_are_told_to_end_none_is_started_any_more(make: Make, said) -> None:
    fleet = make("ready")
    await fleet.start()
    async with fleet._turn:
        fleet.roll()
        await anyio.wait_all_tasks_blocked()  # the worker's replacement waits for its turn
        fleet.end("drain", 60)

    await within_reason(fleet.gone)

    assert len(said("worker_started")) == 1
    assert said("worker_failed") == said("worker_hung") == []


# ---- What they counted


def sample(snapshot, name: str, *labels: str) -> float:
    return next((value for found, (value,) in snapshot.get(name, []) if found == list(labels)), 0.0)


async def test_the_sum_has_those_that_are_gone_but_not_their_gauges(make: Make) -> None:
    fleet = make("ready", workers=2)
    await fleet.start()
    before = await fleet._totals.now()

    os.kill(fleet._current[1].pid, signal.SIGKILL)
    dead = fleet._current[1]
    await until(lambda: fleet._current[1] is not dead)
    after = await fleet._totals.now()

    assert [sample(each, "alga_runner_executions_total", "success") for each in (before, after)] == [2, 3]
    assert [sample(each, "alga_runner_executions_in_progress") for each in (before, after)] == [2, 2]
    assert sample(after, "alga_runner_workers_ended_total", "crash") == 1
    assert sample(after, "alga_runner_workers") == 2
    assert sample(after, "alga_runner_worker_resident_bytes", "2") == 1000


async def test_one_that_hangs_is_counted_as_it_was_last_known(make: Make, monkeypatch) -> None:
    monkeypatch.setattr("alga_runner.workers.totals.PATIENCE_S", 0.05)
    fleet = make("ready count deaf")
    await fleet.start()
    await until(lambda: fleet._current[1].counted)

    sums = [await fleet._totals.now() for _ in range(2)]

    assert [sample(each, "alga_runner_executions_total", "success") for each in sums] == [1, 1]


async def test_those_who_ask_at_once_share_one_round(make: Make) -> None:
    fleet = make("ready")
    await fleet.start()
    async with anyio.create_task_group() as tasks:
        for _ in range(20):
            tasks.start_soon(fleet._totals.now)

    assert fleet._current[1]._asked <= 3
