"""An update over the dialect ``alga`` reads what the server would clear; when that fails, nothing is written."""

from __future__ import annotations

import json
from collections.abc import Callable
from time import monotonic
from typing import Any

import httpx
import pytest
from pydantic import SecretStr

from alga_runner.alga import HttpAlgaServer, Identity
from alga_runner.errors import HostCallCode, HostCallError
from alga_runner.models import UpdateScheduleInput

pytestmark = pytest.mark.anyio

IDENTITY = Identity("tenant-1", "acme.sync", "install-1", "request-1")
SCHEDULE = {
    "id": "s-1",
    "endpointPath": "/sync",
    "endpointMethod": "POST",
    "cron": "0 * * * *",
    "timezone": "UTC",
    "enabled": True,
    "name": "mine",
    "payload": {"a": 1.5, "b": [None]},
}


class Server:
    """Answers ``get`` with ``got`` and every update with success."""

    def __init__(self) -> None:
        self.got: Callable[[], httpx.Response] = lambda: httpx.Response(200, json={"schedule": SCHEDULE})
        self.asked: list[dict[str, Any]] = []
        transport = httpx.MockTransport(self._answer)
        self.port = HttpAlgaServer("https://alga.example", SecretStr("token"), transport=transport)

    def _answer(self, request: httpx.Request) -> httpx.Response:
        document = json.loads(request.content)
        self.asked.append(document)
        if document["operation"] == "get":
            return self.got()
        return httpx.Response(200, json={"success": True})

    async def update(self, **changes: Any) -> None:
        changed = UpdateScheduleInput(schedule_id="s-1", **changes)
        await self.port.update_schedule(IDENTITY, changed, monotonic() + 60)

    async def refused(self, answer: httpx.Response) -> HostCallError:
        self.got = lambda: answer
        with pytest.raises(HostCallError) as caught:
            await self.update(cron="5 * * * *")
        assert [document["operation"] for document in self.asked] == ["get"]
        return caught.value


@pytest.fixture
def server() -> Server:
    return Server()


@pytest.mark.parametrize(
    ("changes", "carried"),
    [
        ({"cron": "5 * * * *"}, {"name": "mine", "payload": SCHEDULE["payload"]}),
        ({"name": None}, {"name": None, "payload": SCHEDULE["payload"]}),
        ({"name": "yours"}, {"name": "yours", "payload": SCHEDULE["payload"]}),
        ({"payload": None}, {"name": "mine", "payload": None}),
    ],
)
async def test_what_is_absent_is_carried_and_what_is_cleared_is_not(
    server: Server, changes: dict[str, Any], carried: dict[str, Any]
) -> None:
    await server.update(**changes)

    get, update = server.asked
    assert get == {"operation": "get", "scheduleId": "s-1"}
    assert update == {"operation": "update", "scheduleId": "s-1", **changes, **carried}


@pytest.mark.parametrize(
    ("answer", "expected"),
    [
        (httpx.Response(503, json={"error": "Busy", "code": "UNAVAILABLE"}), ("unavailable", "Busy")),
        (
            httpx.Response(404, json={"error": "Install not found", "code": "NOT_FOUND"}),
            ("not-found", "Install not found"),
        ),
        (httpx.Response(200, json={"schedule": None}), ("not-found", "Schedule not found")),
        (httpx.Response(429, json={"error": "Slow", "code": "RATE_LIMITED"}), ("rate-limited", "Slow")),
    ],
)
async def test_the_error_of_the_read_is_the_answer_and_nothing_is_written(
    server: Server, answer: httpx.Response, expected: tuple[str, str]
) -> None:
    error = await server.refused(answer)

    assert (error.host_code, str(error)) == expected


@pytest.mark.parametrize(
    "payload", ['{"id": 9007199254740993}', '{"x": 1e2, "y": ' + "[" * 40 + "]" * 40 + "}"]
)
async def test_a_payload_that_no_guest_could_read_exactly_is_carried_exactly(
    server: Server, payload: str
) -> None:
    text = json.dumps({"schedule": {**SCHEDULE, "payload": "here"}}).replace('"here"', payload)
    server.got = lambda: httpx.Response(200, text=text)

    await server.update(cron="5 * * * *")

    assert server.asked[1]["payload"] == json.loads(payload)


@pytest.mark.parametrize("payload", ['{"x": "\\ud800"}', '{"y": ' + "[" * 300 + "]" * 300 + "}"])
async def test_a_payload_that_cannot_be_read_exactly_is_not_written(server: Server, payload: str) -> None:
    text = json.dumps({"schedule": {**SCHEDULE, "payload": "here"}}).replace('"here"', payload)

    error = await server.refused(httpx.Response(200, text=text))

    assert error.host_code is HostCallCode.CONFLICT
    assert "give both" in str(error)


@pytest.mark.parametrize("name", ["name", "payload"])
async def test_a_read_without_a_member_that_would_be_cleared_writes_nothing(
    server: Server, name: str
) -> None:
    partial = {key: value for key, value in SCHEDULE.items() if key != name}

    error = await server.refused(httpx.Response(200, json={"schedule": partial}))

    assert error.host_code is HostCallCode.INTERNAL
    assert f"has no {name}" in str(error)


async def test_a_deadline_that_passes_while_the_schedule_is_read_writes_nothing(
    server: Server, monkeypatch: pytest.MonkeyPatch
) -> None:
    def late() -> httpx.Response:
        monkeypatch.setattr("alga_runner.alga.http.monotonic", lambda: monotonic() + 3600)
        return httpx.Response(200, json={"schedule": SCHEDULE})

    server.got = late
    with pytest.raises(HostCallError) as caught:
        await server.update(cron="5 * * * *")

    assert caught.value.host_code is HostCallCode.TIMEOUT
    assert [document["operation"] for document in server.asked] == ["get"]
