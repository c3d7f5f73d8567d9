"""How the supervisor keeps its workers, with processes that follow a script: hang, die, send invalid messages."""

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
from alga_runner.workers import worker_pool as pool_module
from alga_runner.workers.acceptor import ConnectionCounts
from alga_runner.workers.process import Plan
from alga_runner.workers.worker_pool import Crashes, WorkerPool
from tests.support.patience import PATIENCE_S

pytestmark = pytest.mark.anyio

SCRIPT = Path(__file__).with_name("scripted_worker.py")

Make = Callable[..., WorkerPool]


@pytest.fixture
async def make() -> AsyncIterator[Make]:
    """A pool whose workers do what ``words`` say, and never wait before they are replaced."""
    with socket.create_server(("127.0.0.1", 0)) as listener, ConnectionCounts.create(9) as counts:
        async with anyio.create_task_group() as tasks:

            def carry_out(words: str, *, workers: int = 1) -> WorkerPool:
                settings = Settings(bundle_store=words, shutdown_grace_ms=0)
                plan = Plan(settings, workers, True, listener, counts, (str(SCRIPT),))
                cache = ReplyCache.of(settings)
                pools.append(WorkerPool(plan, tasks, cache, crashes=lambda: Crashes(first_pause_s=0)))
                return pools[-1]

            pools: list[WorkerPool] = []
            yield carry_out
            for pool in pools:
                pool.kill()
                await pool.ended()
            tasks.cancel_scope.cancel()


@pytest.fixture
def said(caplog: pytest.LogCaptureFixture) -> Callable[[str], list[str]]:
    """The sentences of an action."""
    caplog.set_level(logging.INFO)
    return lambda action: [
        record.message for record in caplog.records if record.__dict__.get("action") == action
    ]


async def until(condition: Callable[[], object]) -> None:
    with anyio.fail_after(PATIENCE_S):
        while not condition():
            await anyio.lowlevel.checkpoint()


async def within_reason(wait: Callable[[], Awaitable[None]]) -> None:
    with anyio.fail_after(PATIENCE_S):
        await wait()


async def test_all_start_and_have_a_number_and_an_index_of_their_own(make: Make, said) -> None:
    pool = make("ready", workers=3)

    await within_reason(pool.start)

    workers = list(pool._workers.values())
    assert sorted(worker.number for worker in workers) == [1, 2, 3]
    assert sorted(worker.index for worker in workers) == [0, 1, 2]
    assert len(said("worker_started")) == 3


async def test_a_worker_that_cannot_start_raises_its_error(make: Make) -> None:
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
async def test_a_worker_that_ends_before_it_is_ready_has_an_error_of_its_own(
    make: Make, words: str, what: str
) -> None:
    with pytest.raises(WorkerFailed, match=rf"^Worker 1 \(process \d+\) {re.escape(what)}$"):
        await make(words).start()


async def test_a_system_that_cannot_start_a_process_is_an_error(make: Make, monkeypatch) -> None:
    pool = make("ready", workers=2)
    monkeypatch.setattr("sys.executable", "/nowhere/python")

    with pytest.raises(WorkerFailed, match=r"^Worker \d cannot be started: No such file or directory\.$"):
        await pool.start()

    assert pool._workers == {}


async def test_a_worker_that_is_never_ready_is_killed(make: Make, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(pool_module, "START_S", 0.01)
    pool = make("hang")

    with pytest.raises(WorkerFailed, match="did not answer within"):
        await pool.start()

    assert pool._workers == {}


async def test_when_one_worker_does_not_start_none_is_left(make: Make, tmp_path: Path) -> None:
    pool = make(f"second={tmp_path / 'first'} ready", workers=2)

    with pytest.raises(WorkerFailed, match="with exit status 3"):
        await pool.start()
    pool.kill()
    await within_reason(pool.ended)

    assert pool._workers == {}


async def test_a_worker_that_dies_is_replaced_and_logged(make: Make, said) -> None:
    pool = make("ready", workers=2)
    await pool.start()
    dead = pool._current[2]

    os.kill(dead.pid, signal.SIGKILL)
    await until(lambda: pool._current[2] is not dead)

    assert said("worker_died") == [f"Worker 2 (process {dead.pid}) died by SIGKILL"]
    assert pool._current[2].answers


async def test_a_worker_that_sends_invalid_messages_is_killed_and_replaced(
    make: Make, said, tmp_path: Path
) -> None:
    pool = make("ready nonsense")
    await pool.start()
    first = pool._current[1]

    await until(lambda: pool._current[1] is not first)

    assert (
        said("worker_broken")[0] == f"Worker 1 (process {first.pid}) sent an unknown message, and was killed."
    )


async def test_a_worker_that_dies_again_and_again_ends_the_service(make: Make, said) -> None:
    pool = make("ready die")
    await pool.start()

    await within_reason(pool.ended)

    assert len(said("worker_died")) == 5
    assert str(pool.failure) == "Worker 1 died 5 times in a row, the last time by SIGKILL; the service ends."
    assert said("worker_failed") == [str(pool.failure)]


async def test_replacements_that_do_not_start_count_too(make: Make, said, tmp_path: Path) -> None:
    pool = make(f"second={tmp_path / 'first'} ready die")
    await pool.start()

    await within_reason(pool.ended)

    assert isinstance(pool.failure, WorkerFailed)
    assert len(said("worker_died")) == 1


async def test_a_worker_that_hangs_is_killed_and_replaced(make: Make, said, monkeypatch) -> None:
    monkeypatch.setattr(pool_module, "MAX_SILENT_CHECKS", 2)
    monkeypatch.setattr(pool_module, "CHECK_S", 0.001)
    pool = make("ready hang")
    await pool.start()
    hanging = pool._current[1]

    await until(lambda: pool._current[1] is not hanging)

    assert said("worker_hung")[0] == f"Worker 1 (process {hanging.pid}) hangs and is killed"


async def test_on_request_a_worker_retires_once_its_successor_is_ready(make: Make, said) -> None:
    pool = make("ready", workers=2)
    await pool.start()
    old = dict(pool._current)

    pool.replace_all()
    await until(
        lambda: all(pool._current[number] is not old[number] for number in old) and len(pool._workers) == 2
    )

    assert [worker.leaving for worker in old.values()] == [True, True]
    assert said("worker_died") == []
    assert len(said("worker_replaced")) == 2


async def test_workers_are_replaced_one_at_a_time(make: Make) -> None:
    pool = make("ready", workers=3)
    await pool.start()
    old = list(pool._current.values())
    most = 0

    pool.replace_all()
    while not all(worker.ended.is_set() for worker in old):
        assert sum(worker.answers for worker in pool._workers.values()) >= 3
        most = max(most, len(pool._workers))
        await anyio.lowlevel.checkpoint()

    assert most == 4


async def test_a_worker_without_a_successor_stays(make: Make, said, tmp_path: Path) -> None:
    pool = make(f"second={tmp_path / 'first'} ready")
    await pool.start()
    worker = pool._current[1]

    pool.replace_all()
    await until(lambda: said("worker_failed"))

    assert pool._current[1] is worker
    assert worker.answers
    assert "goes on, its successor failed: " in said("worker_failed")[0]


async def test_a_worker_that_dies_while_it_waits_to_be_replaced_is_replaced_immediately(make: Make) -> None:
    pool = make("ready", workers=2)
    await pool.start()
    worker = pool._current[1]
    async with pool._replacing:
        worker.request_replacement("asked")
        await anyio.wait_all_tasks_blocked()
        os.kill(worker.pid, signal.SIGKILL)
        await until(lambda: pool._current[1] is not worker)

    assert pool._current[1].answers


@pytest.mark.parametrize("order", ["drain", "stop"])
async def test_all_workers_end_when_ordered(make: Make, said, order: str) -> None:
    pool = make("ready", workers=2)
    await pool.start()

    pool.end(order, 60)
    await within_reason(pool.ended)

    assert said("worker_died") == said("worker_hung") == []
    assert pool.failure is None


async def test_a_worker_that_does_not_end_is_killed(make: Make, said) -> None:
    pool = make("ready hang")
    await pool.start()

    pool.end("stop", 0.01)
    await within_reason(pool.ended)

    assert len(said("worker_hung")) == 1


async def test_workers_that_are_starting_are_killed_at_the_end(make: Make) -> None:
    pool = make("hang", workers=2)
    async with anyio.create_task_group() as tasks:
        tasks.start_soon(pool.start)
        await until(lambda: len(pool._workers) == 2)
        pool.end("drain", 60)
        await within_reason(pool.ended)

    assert pool.failure is None


async def test_after_the_order_to_end_no_worker_is_started(make: Make, said) -> None:
    pool = make("ready")
    await pool.start()
    async with pool._replacing:
        pool.replace_all()
        await anyio.wait_all_tasks_blocked()  # the worker's replacement waits for its turn
        pool.end("drain", 60)

    await within_reason(pool.ended)

    assert len(said("worker_started")) == 1
    assert said("worker_failed") == said("worker_hung") == []


def sample(snapshot, name: str, *labels: str) -> float:
    return next((value for names, (value,) in snapshot.get(name, []) if names == list(labels)), 0.0)


async def test_the_sum_includes_ended_workers_without_their_gauges(make: Make) -> None:
    pool = make("ready", workers=2)
    await pool.start()
    before = await pool._totals.collect()

    os.kill(pool._current[1].pid, signal.SIGKILL)
    dead = pool._current[1]
    await until(lambda: pool._current[1] is not dead)
    after = await pool._totals.collect()

    assert [sample(total, "alga_runner_executions_total", "success") for total in (before, after)] == [2, 3]
    assert [sample(total, "alga_runner_executions_in_progress") for total in (before, after)] == [2, 2]
    assert sample(after, "alga_runner_workers_ended_total", "crash") == 1
    assert sample(after, "alga_runner_workers") == 2
    assert sample(after, "alga_runner_worker_resident_bytes", "2") == 1000


async def test_a_worker_that_hangs_counts_with_its_last_known_values(make: Make, monkeypatch) -> None:
    monkeypatch.setattr("alga_runner.workers.totals.MEASURE_TIMEOUT_S", 0.05)
    pool = make("ready count hang")
    await pool.start()
    await until(lambda: pool._current[1].snapshot)

    sums = [await pool._totals.collect() for _ in range(2)]

    assert [sample(total, "alga_runner_executions_total", "success") for total in sums] == [1, 1]


async def test_concurrent_callers_share_one_round(make: Make) -> None:
    pool = make("ready")
    await pool.start()
    async with anyio.create_task_group() as tasks:
        for _ in range(20):
            tasks.start_soon(pool._totals.collect)

    assert pool._current[1]._rounds_sent <= 3
