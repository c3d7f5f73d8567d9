"""While a guest waits for an answer, the service keeps nothing of its request: neither as it came nor parsed."""

from __future__ import annotations

import gc

import pytest

from alga_runner.alga import Identity
from alga_runner.models import ScheduleInfo
from alga_runner.service import request_tracker
from alga_runner.service.http import Exchange
from tests.support.waiting import ANSWERS, LISTING, LISTS, LookingServer

pytestmark = pytest.mark.anyio

PATH = "/a-path-of-the-service-s-test"


class Body(bytes):
    """Bytes that can be found."""


class Server(LookingServer):
    """Looks at bodies, too."""

    bodies: int | None = None

    async def list_schedules(self, identity: Identity, deadline: float) -> list[ScheduleInfo]:
        listed = await super().list_schedules(identity, deadline)
        self.bodies = sum(type(item) is Body for item in gc.get_objects())
        return listed


@pytest.fixture
def alga_server() -> Server:
    return Server()


@pytest.mark.parametrize("headers", [{}, {"x-idempotency-key": "key-1"}], ids=["without a key", "with a key"])
async def test_a_waiting_request_is_let_go_of(
    monkeypatch: pytest.MonkeyPatch, execute, publish, alga_server: Server, headers: dict[str, str]
) -> None:
    read_body = request_tracker.read_body

    async def read(exchange: Exchange, **how) -> bytes:
        return Body(await read_body(exchange, **how))

    monkeypatch.setattr(request_tracker, "read_body", read)
    content_hash = publish(handler=LISTS + ANSWERS, **LISTING)

    response = await execute(
        content_hash, headers=headers, http={"path": PATH}, providers=["cap:scheduler.manage"]
    )

    assert response.json()["status"] == 200
    assert alga_server.paths is not None
    assert PATH not in alga_server.paths
    assert alga_server.bodies == 0
