"""A component ends by its deadline, its CPU time, its caller and the runner's stop, wherever it is."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable

import anyio
import pytest

from alga_runner import Observation, Runner, Settings
from alga_runner.alga import Identity, NoAlgaServer
from alga_runner.bundles import MemoryBundles
from alga_runner.engine import engine_context
from alga_runner.models import ExecuteRequest, ScheduleInfo
from tests.support.bundles import make_bundle
from tests.support.component_relay import LIBC
from tests.support.component_world import OK, world_component
from tests.support.components import with_realloc
from tests.support.patience import PATIENCE_S, past_its_deadline
from tests.support.requests import execute_request

pytestmark = pytest.mark.anyio

SPIN = "(loop (br 0))"
LIST = "(call $scheduler.list-schedules (i32.const 512))"
IN_A_HOST_CALL = world_component(LIST + OK, ["scheduler list-schedules"])
CALLS = world_component(f"(loop {LIST} (br 0)) (unreachable)", ["scheduler list-schedules"])
PLACES = {
    "in a host call": IN_A_HOST_CALL,
    "in its handler": world_component(f"{SPIN} i32.const 0"),
    "while it allocates": world_component(libc=with_realloc(LIBC, f"{SPIN} i32.const 0")),
    "after it returned": world_component(post_return=SPIN),
    "in its start function": world_component(code=f"(func $spin {SPIN}) (start $spin)"),
}


class Server(NoAlgaServer):
    """An Alga server that does not answer, or has no schedules."""

    def __init__(self, *, silent: bool) -> None:
        self._silent = silent
        self.asked = False

    async def list_schedules(self, identity: Identity, deadline: float) -> list[ScheduleInfo]:
        self.asked = True
        if self._silent:
            await anyio.sleep_forever()
        return []


class Trial:
    """One execution of a component on a runner of its own."""

    def __init__(self, runner: Runner, request: ExecuteRequest, server: Server, *, calls: bool) -> None:
        self.runner = runner
        self.request = request
        self._server = server
        self.calls = calls

    def observe(self) -> Awaitable[Observation]:
        return self.runner.observe(self.request)

    def is_there(self) -> bool:
        """Whether the guest has come to where it is to end."""
        if self.calls:
            return self._server.asked
        return any(budget.used_s > 0.02 for budget in self.runner._under_way)

    async def started(self) -> asyncio.Future[Observation]:
        """The execution, once its guest is there."""
        outcome = asyncio.ensure_future(self.observe())
        with anyio.fail_after(PATIENCE_S):
            while not self.is_there():
                assert not outcome.done(), outcome
                await anyio.lowlevel.checkpoint()
        return outcome


async def passes_its_deadline(trial: Trial) -> str:
    observation = await past_its_deadline(trial.runner, trial.observe(), lambda _: trial.is_there())
    if trial.calls and observation.error:
        assert observation.error.where["host_call"] == "scheduler.list"
    return observation.error.code if observation.error else "ok"


async def uses_its_cpu_time(trial: Trial) -> str:
    observation = await trial.observe()
    return observation.error.code if observation.error else "ok"


async def is_cancelled(trial: Trial) -> str:
    outcome = await trial.started()
    outcome.cancel()
    await asyncio.wait([outcome])
    return "cancelled" if outcome.cancelled() else "ok"


async def meets_the_stop_of_its_runner(trial: Trial) -> str:
    outcome = await trial.started()
    await trial.runner.__aexit__(None, None, None)
    assert not trial.runner._under_way
    observation = await outcome
    assert str(observation.error) == "The runner stopped before the handler was done."
    assert [call.status for call in observation.host_calls] == ["cancelled"] * trial.calls
    return observation.error.code if observation.error else "ok"


def live_guests() -> int:
    return sum(engine.ticker.live for engine in engine_context._engines.values())


Ending = Callable[[Trial], Awaitable[str]]
ENDINGS: dict[Ending, str] = {
    passes_its_deadline: "deadline_exceeded",
    uses_its_cpu_time: "cpu_limit",
    is_cancelled: "cancelled",
    meets_the_stop_of_its_runner: "engine_unavailable",
}


@pytest.mark.parametrize("place", PLACES)
@pytest.mark.parametrize(("ending", "code"), ENDINGS.items(), ids=lambda of: getattr(of, "__name__", None))
async def test_a_component_ends_in_every_way_wherever_it_is_and_leaves_nothing(
    ending: Ending, code: str, place: str
) -> None:
    settings = Settings(
        max_guests=2,
        max_guests_per_tenant=2,
        max_memory_mb=4,
        max_host_calls=10_000_000,
        code_cache="off",
        default_timeout_ms=300_000,
    )
    limited = ending is uses_its_cpu_time
    calls = place == "in a host call"
    component = CALLS if calls and limited else PLACES[place]
    server, bundles = Server(silent=not limited), MemoryBundles()
    request = execute_request(
        bundles.add(make_bundle(component)),
        providers=["cap:scheduler.manage"],
        limits={"cpu_ms": 5} if limited else {},
    )
    live = live_guests()

    async with Runner(settings, bundles=bundles, alga=server) as runner:
        assert await ending(Trial(runner, request, server, calls=calls)) == code

    assert live_guests() == live
