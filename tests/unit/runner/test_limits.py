"""Requests set limits on time within the runner's, and guests and servers learn the rest of a deadline."""

from __future__ import annotations

from time import monotonic

import anyio
import pytest

from alga_runner import Observation, Runner, Settings
from alga_runner.alga import Identity, NoAlgaServer
from alga_runner.bundles import MemoryBundles
from alga_runner.models import ScheduleInfo
from tests.support.bundles import make_bundle
from tests.support.guests import LIST_IMPORT
from tests.support.requests import execute_request

pytestmark = pytest.mark.anyio

SPINS = "(loop (br 0))"
LISTS_TWICE = "(drop (call $list (i32.const 1024) (i32.const 1) (i32.const 0) (i32.const 0)))" * 2


class Clockwork(NoAlgaServer):
    """An Alga server that notes how much time it is given for each answer, and takes some of it."""

    def __init__(self) -> None:
        self.deadlines: list[float] = []

    async def list_schedules(self, identity: Identity, deadline: float) -> list[ScheduleInfo]:
        self.deadlines.append(deadline)
        await anyio.sleep(0.01)
        return []


@pytest.fixture
def run(guest_wat):
    """Execute a guest with these ``limits``, on a runner with these ``settings``."""

    async def execute(
        handler: str, *, limits: dict[str, int], alga: Clockwork | None = None, **settings: int
    ) -> Observation:
        bundles = MemoryBundles()
        guest = guest_wat(handler, imports=LIST_IMPORT, data=b"\x80")
        request = execute_request(
            bundles.add(make_bundle(guest)), providers=["cap:scheduler.manage"], limits=limits
        )
        chosen = Settings(max_guests=8, max_memory_mb=4, **settings)
        async with Runner(chosen, bundles=bundles, alga=alga or Clockwork()) as runner:
            return await runner.observe(request)

    return execute


@pytest.mark.parametrize(
    ("asked", "settings", "allowed"),
    [
        pytest.param({"cpu_ms": 3}, {}, 3, id="the requested limit"),
        pytest.param({}, {"default_cpu_ms": 4}, 4, id="the default"),
        pytest.param({"cpu_ms": 3_600_000}, {"max_cpu_ms": 5}, 5, id="no more than the maximum"),
        pytest.param(
            {}, {"default_cpu_ms": 1_000, "max_cpu_ms": 6}, 6, id="a default no higher than the maximum"
        ),
        pytest.param({"cpu_ms": 0}, {}, 0, id="nothing"),
    ],
)
async def test_a_guest_may_compute_for(run, asked: dict[str, int], settings: dict[str, int], allowed: int):
    seen = await run(SPINS, limits=asked, **settings)

    assert seen.error is not None
    assert seen.error.code == "cpu_limit"
    assert f"more than {allowed} ms of CPU time" in str(seen.error)


@pytest.mark.parametrize("fuel", [1, 2**63])
async def test_fuel_is_recorded_and_has_no_effect(run, fuel: int):
    seen = await run("(call $respond (i32.const 0) (global.get $ok))", limits={"fuel": fuel})

    assert seen.response is not None
    assert seen.fuel == fuel


async def test_every_host_call_is_given_what_remains_of_the_one_deadline(run):
    server, before = Clockwork(), monotonic()

    await run(LISTS_TWICE, limits={"timeout_ms": 60_000}, alga=server)

    first, second = server.deadlines
    assert first == second
    assert before < first < monotonic() + 60


async def test_no_host_call_is_given_more_than_the_runner_allows(run):
    server = Clockwork()

    await run(LISTS_TWICE, limits={"timeout_ms": 3_600_000}, alga=server, max_timeout_ms=60_000)

    assert max(server.deadlines) < monotonic() + 60


async def test_a_timeout_of_nothing_is_met_whether_or_not_the_module_is_loaded(run, guest_wat):
    seen = await run("(call $respond (i32.const 0) (global.get $ok))", limits={"timeout_ms": 0})

    assert seen.error is not None
    assert seen.error.code == "deadline_exceeded"
    assert "waiting for its module" in str(seen.error)
    assert "compiles ahead" in seen.error.hint
