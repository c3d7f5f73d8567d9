"""A runner that has no room fails no run of a schedule, and the gateway's calls keep none from it."""

from __future__ import annotations

import anyio
import anyio.lowlevel
import httpx
import pytest
from pydantic import SecretStr

from alga_runner.models import ExecuteRequest
from alga_server import ServerSettings
from alga_server.errors import RunnerBusy
from alga_server.execution import runner_client
from alga_server.execution.runner_client import RunnerClient
from alga_server.firing import handler
from tests.support.firing import fire_next
from tests.support.patience import PATIENCE_S
from tests.support.requests import execute_request
from tests.support.server import FakeRunner, Install
from tests.support.sockets import serving

pytestmark = pytest.mark.anyio


@pytest.fixture
def pauses(monkeypatch: pytest.MonkeyPatch, fake_runner: FakeRunner) -> list[float]:
    """How long a run waited for room each time; after the second time there is room."""
    waited: list[float] = []

    async def pause(seconds: float) -> None:
        waited.append(seconds)
        if len(waited) == 2:
            fake_runner.answer = None

    monkeypatch.setattr(handler, "pause", pause)
    return waited


@pytest.mark.parametrize("status", [429, 503])
async def test_a_run_waits_for_room_as_the_runner_asks_and_then_succeeds_at_the_first_attempt(
    install: Install, fake_runner: FakeRunner, pauses: list[float], status: int
) -> None:
    fake_runner.answer = httpx.Response(status, headers={"retry-after": "7"})

    await fire_next(install)

    assert [(run["status"], run["attempt"]) for run in await install.runs()] == [("success", 1)]
    assert pauses == [7, 7]


async def test_a_runner_that_never_has_room_is_the_run_s_ending(
    install: Install, fake_runner: FakeRunner, monkeypatch: pytest.MonkeyPatch
) -> None:
    waited: list[float] = []

    async def pause(seconds: float) -> None:
        waited.append(seconds)

    monkeypatch.setattr(handler, "pause", pause)
    fake_runner.answer = httpx.Response(503, headers={"retry-after": "90"})

    await fire_next(install)

    (run,) = await install.runs()
    assert (run["status"], run["errorCode"]) == ("error", "runner_busy")
    assert sum(waited) == handler.ROOM_WITHIN_S


class Sleeping:
    """A runner whose executions never end; ``asked`` are their tenants."""

    def __init__(self) -> None:
        self.asked: list[bytes] = []

    async def __call__(self, scope, receive, send) -> None:
        self.asked.append(dict(scope["headers"])[b"x-alga-tenant"])
        while (await receive())["type"] != "http.disconnect":
            pass


async def test_sleeping_executions_of_a_tenant_leave_room_for_others_and_for_schedules(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(runner_client, "_POOL_TIMEOUT_S", 0.05)
    app = Sleeping()
    async with serving(app) as url, anyio.create_task_group() as tasks:
        client = RunnerClient(
            ServerSettings(runner_url=url, runner_service_token=SecretStr("token"), max_runner_calls=16)
        )

        async def call(tenant: str, *, scheduled: bool = False) -> None:
            await client.execute(request(tenant), timeout_s=PATIENCE_S, scheduled=scheduled)

        for _ in range(3):
            tasks.start_soon(call, "loud")
        await asked(app, 3)
        with pytest.raises(RunnerBusy):
            await call("loud")
        for tenant in ("a", "b", "c", "d", "e", "f", "g", "h", "i"):
            tasks.start_soon(call, tenant)
        await asked(app, 12)
        with pytest.raises(RunnerBusy):
            await call("another")

        tasks.start_soon(lambda: call("loud", scheduled=True))
        await asked(app, 13)
        tasks.cancel_scope.cancel()
    await client.aclose()

    assert app.asked[-1] == b"loud"


def request(tenant: str) -> ExecuteRequest:
    return execute_request("sha256:0", tenant=tenant)


async def asked(app: Sleeping, times: int) -> None:
    with anyio.fail_after(PATIENCE_S):
        while len(app.asked) < times:
            await anyio.lowlevel.checkpoint()
