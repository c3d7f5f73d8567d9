"""A runner that stops while others wait on it tells them so, and leaves no guest behind."""

from __future__ import annotations

import asyncio

import anyio
import pytest

from alga_runner import ExecuteRequest, Observation, Runner
from alga_runner.alga import Identity, NoAlgaServer
from alga_runner.bundles import MemoryBundles
from alga_runner.engine import Guest
from alga_runner.models import ScheduleInfo
from tests.support.bundles import make_bundle
from tests.support.guests import LIST_IMPORT
from tests.support.requests import execute_request

pytestmark = pytest.mark.anyio


def request_for(content_hash: str) -> ExecuteRequest:
    return execute_request(content_hash, providers=["cap:scheduler.manage"])


class NeverArrives:
    """A bundle source that is asked and does not answer."""

    def __init__(self) -> None:
        self.asked = anyio.Event()

    async def fetch(self, *_: str) -> None:
        self.asked.set()
        await anyio.sleep_forever()


class Silent(NoAlgaServer):
    """An Alga server that does not answer, and may not even let itself be cancelled."""

    def __init__(self, *, shielded: bool = False) -> None:
        self.asked = anyio.Event()
        self.answers = anyio.Event()
        self._shielded = shielded

    async def list_schedules(self, identity: Identity, deadline: float) -> list[ScheduleInfo]:
        self.asked.set()
        with anyio.CancelScope(shield=self._shielded):
            await self.answers.wait()
        return []


def code_and_text(seen: Observation) -> tuple[str, str]:
    assert seen.error is not None
    return seen.error.code, str(seen.error)


async def test_an_execution_that_waits_for_its_bundle_ends_with_the_reason_that_the_runner_stopped(settings):
    bundles = NeverArrives()
    async with Runner(settings, bundles=bundles) as runner:
        waiting = asyncio.ensure_future(runner.observe(request_for("sha256:0")))
        await bundles.asked.wait()

    assert code_and_text(await waiting) == (
        "engine_unavailable",
        "The runner stopped while the extension was being loaded.",
    )


STOPPED = ("engine_unavailable", "The runner stopped before the handler was done.")


@pytest.fixture
def bundles_of(guest_wat):
    def make(handler: str) -> tuple[MemoryBundles, ExecuteRequest]:
        bundles = MemoryBundles()
        guest = guest_wat(handler, imports=LIST_IMPORT, data=b"\x80")
        return bundles, request_for(bundles.add(make_bundle(guest)))

    return make


CALLS = "(drop (call $list (i32.const 1024) (i32.const 1) (i32.const 0) (i32.const 0)))"
SPINS = "(loop (br 0))"


async def test_guests_that_compute_are_ended_before_the_runner_is_left(settings, bundles_of):
    bundles, request = bundles_of(SPINS)
    async with Runner(settings, bundles=bundles) as runner:
        await runner.observe(
            request.model_copy(update={"limits": request.limits.model_copy(update={"cpu_ms": 1})})
        )
        ticker = runner._host._core._engine.ticker
        tasks = [asyncio.ensure_future(runner.observe(request)) for _ in range(5)]
        while ticker.live < 5:
            await anyio.lowlevel.checkpoint()

    assert ticker.live == 0
    assert [code_and_text(await task) for task in tasks] == [STOPPED] * 5


async def test_a_guest_in_a_host_call_is_ended_before_the_runner_is_left(settings, bundles_of):
    bundles, request = bundles_of(CALLS)
    server = Silent()
    async with Runner(settings, bundles=bundles, alga=server) as runner:
        task = asyncio.ensure_future(runner.observe(request))
        await server.asked.wait()

    seen = await task
    assert code_and_text(seen) == STOPPED
    assert [call.status for call in seen.host_calls] == ["cancelled"]


async def test_a_runner_does_not_wait_without_end_for_a_host_call_that_cannot_be_cancelled(
    settings, bundles_of, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr("alga_runner.runner.STRAGGLERS_S", 0)
    bundles, request = bundles_of(CALLS)
    server = Silent(shielded=True)
    async with Runner(settings, bundles=bundles, alga=server) as runner:
        task = asyncio.ensure_future(runner.observe(request))
        await server.asked.wait()

    assert not task.done()
    server.answers.set()
    assert code_and_text(await task)[0] == "no_response"  # it was done before it had to wait again


async def test_an_execution_whose_module_arrives_as_the_runner_stops_does_not_run(
    settings, bundles_of, monkeypatch: pytest.MonkeyPatch
):
    bundles, request = bundles_of(SPINS)
    made: list[Guest] = []
    async with Runner(settings, bundles=bundles) as runner:
        monkeypatch.setattr("alga_runner.guests.core.Guest", lambda *_: made.append(None))
        task = asyncio.ensure_future(runner.observe(request))
        programs = runner._programs
        context = request.context
        while programs.loaded(context.tenant_id, context.extension_id, context.content_hash) is None:
            await anyio.lowlevel.checkpoint()

    assert code_and_text(await task)[0] == "engine_unavailable"
    assert made == []
