"""The runner's executions, real guests in them, within their bounds."""

from __future__ import annotations

import asyncio
import logging
from collections import Counter
from random import Random

import anyio
import pytest

from alga_runner import ExecuteRequest, Observation, Runner, Settings
from alga_runner.errors import AlgaError, Draining, Overloaded
from tests.support.patience import PATIENCE_S, keep_guests_on_the_loop, start_guests_when_they_ask

pytestmark = pytest.mark.anyio


async def load(runner: Runner, alga, request: ExecuteRequest) -> None:
    """Execute a few times, so that no later execution waits for its module, nor starts in the CPU thread."""
    for _ in range(3):
        execution = asyncio.ensure_future(runner.observe(request))
        while not (alga.asked or execution.done()):
            await anyio.lowlevel.checkpoint()
        alga.let_go()
        assert (await execution).error is None
        alga.asked.clear()


class Executions:
    """Concurrent executions, and how each ended, in that order."""

    def __init__(self, runner: Runner, tasks: anyio.abc.TaskGroup) -> None:
        self.runner = runner
        self.tasks = tasks
        self.ended: list[tuple[str, str]] = []
        self.scopes: list[anyio.CancelScope] = []

    async def start(self, *requests: ExecuteRequest) -> None:
        for request in requests:
            self.tasks.start_soon(self._run, request)
            await settle()

    async def _run(self, request: ExecuteRequest) -> None:
        with anyio.CancelScope() as scope:
            self.scopes.append(scope)
            observation = await self.runner.observe(request)
            how = observation.error.code if observation.error else "ok"
            self.ended.append((request.context.tenant_id, how))


async def settle() -> None:
    """Let all tasks go on that can; none waits for a thread or a socket once its module is loaded."""
    for _ in range(30):
        await anyio.lowlevel.checkpoint()


@pytest.fixture
async def executions(runner: Runner, alga, request_of, monkeypatch: pytest.MonkeyPatch):
    # Guests call the server in the order in which they are admitted, however slow the machine is.
    start_guests_when_they_ask(monkeypatch)
    keep_guests_on_the_loop(monkeypatch)
    for tenant in ("acme", "globex", "initech"):
        await load(runner, alga, request_of(tenant))
    async with anyio.create_task_group() as tasks:
        yield Executions(runner, tasks)
        tasks.cancel_scope.cancel()


async def test_one_tenant_runs_no_more_than_its_share_concurrently(executions, alga, request_of):
    await executions.start(*[request_of("acme")] * 4, request_of("globex"))

    assert Counter(alga.asked) == {"acme": 2, "globex": 1}
    assert (executions.runner.admission.executing, executions.runner.admission.queued) == (3, 2)


async def test_the_tenant_with_the_fewest_executions_is_served_next(executions, alga, request_of):
    await executions.start(*[request_of("acme")] * 2, request_of("globex"))
    await executions.start(*[request_of("acme")] * 3, request_of("initech"))

    alga.let_go()
    await settle()

    assert alga.asked[3:] == ["initech", "acme", "acme"]


async def test_one_more_than_may_wait_is_refused_at_once(executions, alga, request_of):
    await executions.start(*[request_of("acme")] * 6, *[request_of("globex")] * 3)

    assert executions.ended == [("acme", "overloaded"), ("globex", "overloaded")]
    assert Counter(alga.asked) == {"acme": 2, "globex": 1}


async def test_waiting_counts_towards_the_execution_s_own_time(executions, live_guests, request_of):
    await executions.start(*[request_of("acme")] * 2)
    before = live_guests()

    await executions.start(request_of("acme", timeout_ms=5))
    with anyio.fail_after(PATIENCE_S):
        while not executions.ended:
            await anyio.lowlevel.checkpoint()

    assert executions.ended == [("acme", "overloaded")]
    assert live_guests() == before


async def test_one_that_gives_up_while_it_waits_leaves_nothing_behind(executions, alga, request_of):
    await executions.start(*[request_of("acme")] * 4)

    executions.scopes[2].cancel()
    await settle()

    assert executions.runner.admission.queued == 1
    alga.let_go()
    await settle()
    assert Counter(alga.asked) == {"acme": 3}


async def test_who_was_refused_did_nothing_and_is_served_once_there_is_room(executions, alga, request_of):
    await executions.start(*[request_of("acme")] * 6)
    assert executions.ended == [("acme", "overloaded")]

    for _ in range(3):
        alga.let_go()
        await settle()
    await executions.start(request_of("acme"))

    assert Counter(alga.asked) == {"acme": 6}
    alga.let_go()
    await settle()
    assert executions.ended[1:] == [("acme", "ok")] * 6


async def test_a_runner_that_ends_tells_those_who_wait(
    settings: Settings, bundles, alga, request_of, monkeypatch: pytest.MonkeyPatch
):
    start_guests_when_they_ask(monkeypatch)
    keep_guests_on_the_loop(monkeypatch)
    ended: list[str] = []

    async def observe(runner: Runner) -> None:
        error = (await runner.observe(request_of("acme"))).error
        assert error is not None
        ended.append(error.code)

    async with anyio.create_task_group() as tasks:
        async with Runner(settings, bundles=bundles, alga=alga) as runner:
            await load(runner, alga, request_of("acme"))
            for _ in range(2):
                tasks.start_soon(runner.observe, request_of("acme"))
            await settle()
            tasks.start_soon(observe, runner)
            await settle()
        await settle()
        alga.let_go()

    assert ended == ["draining"]


async def test_a_refusal_says_whose_execution_it_was(executions, request_of):
    await executions.start(*[request_of("acme")] * 5)

    with pytest.raises(Overloaded) as raised:
        await executions.runner.execute(request_of("acme"))

    assert raised.value.where["extension"] == "ext"
    assert raised.value.of_tenant


async def test_what_keeps_a_guest_from_starting_gives_its_place_back(runner: Runner, request_of):
    for _ in range(10):
        with pytest.raises(AlgaError):
            await runner.execute(request_of("acme", "(module)"))

    assert (runner.admission.executing, runner.admission.queued) == (0, 0)


async def test_no_place_is_lost_after_thousands_of_random_endings(
    settings: Settings, bundles, alga, *, request_of, guest_wat, live_guests
):
    """Traps, loops to the deadline, host calls that hang, cancellations while waiting and while running, refusals."""
    chance = Random(4)
    tenants = ("acme", "globex", "initech")
    requests = [
        request_of(tenant, guest, timeout_ms=timeout_ms)
        for tenant in tenants
        for guest, timeout_ms in (
            (None, 5_000),
            (None, 1),
            (guest_wat(), 5_000),
            (guest_wat("unreachable"), 5_000),
            (guest_wat("(loop (br 0))"), 2),
        )
    ]
    ends: dict[str, int] = {}
    before = live_guests()

    async def execute(runner: Runner) -> None:
        with anyio.CancelScope() as scope:
            if chance.random() < 0.3:
                scope.deadline = anyio.current_time() + chance.random() * 0.002
            observation: Observation = await runner.observe(chance.choice(requests))
            how = observation.error.code if observation.error else "ok"
            ends[how] = ends.get(how, 0) + 1
        if scope.cancelled_caught:
            ends["cancelled"] = ends.get("cancelled", 0) + 1

    async with Runner(settings, bundles=bundles, alga=alga) as runner:
        for request in requests:
            with anyio.move_on_after(0.05):
                await runner.observe(request)
        ends.clear()
        for number in range(150):
            async with anyio.create_task_group() as tasks:
                for _ in range(20):
                    tasks.start_soon(execute, runner)
                await anyio.lowlevel.checkpoint()
                alga.let_go()
                for _ in range(chance.randrange(4)):
                    await anyio.lowlevel.checkpoint()
                alga.let_go()
                tasks.start_soon(_keep_letting_go, alga, ends, 20 * (number + 1))
        slots = runner.admission._slots

    assert sum(ends.values()) == 3_000
    assert {"ok", "overloaded", "cancelled", "guest_trap", "deadline_exceeded"} <= set(ends)
    assert (slots.used, slots.waiting, slots._held, slots._queues) == (0, 0, {}, {})
    assert live_guests() == before


async def _keep_letting_go(alga, ends: dict[str, int], until: int) -> None:
    while sum(ends.values()) < until:
        alga.let_go()
        await anyio.lowlevel.checkpoint()


async def test_the_log_says_at_the_start_what_fits_and_why(settings, bundles, caplog):
    caplog.set_level(logging.INFO, "alga_runner")

    async with Runner(settings, bundles=bundles):
        (record,) = [one for one in caplog.records if getattr(one, "action", None) == "capacity"]

    said = record.getMessage()
    assert said.startswith("Room for 3 concurrent executions, 2 of one tenant; 4 more wait up to 300000 ms")
    assert "vm.max_map_count" in said


async def test_draining_is_an_error_of_its_own(runner: Runner, request_of):
    runner.admission.close()

    with pytest.raises(Draining):
        await runner.execute(request_of("acme"))
