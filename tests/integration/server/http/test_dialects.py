"""Two dialects, one behaviour: what the one route per install answers, the route per operation answers too."""

from __future__ import annotations

import json
import logging
from typing import Any

import httpx
import pytest

from alga_server import ServerSettings
from tests.support.server import Alga, Install

pytestmark = pytest.mark.anyio

UNKNOWN_ID = "00000000-0000-4000-8000-000000000000"
SEGMENTS = {name: name for name in ("list", "get", "create", "update", "delete")} | {
    "getEndpoints": "get-endpoints"
}
HOURLY = {"endpoint": "/sync", "cron": "0 * * * *"}


class Caller:
    """An install whose calls go out in one dialect."""

    def __init__(self, installed: Any, dialect: str) -> None:
        self.installed, self.dialect = installed, dialect

    async def send(
        self, operation: str, content: str | bytes, headers: dict[str, str] | None = None
    ) -> httpx.Response:
        path = self.installed.path
        if self.dialect == "prd":
            path = f"/api/internal/extensions/scheduler/{SEGMENTS[operation]}"
        sent = self.installed.headers() if headers is None else headers
        response: httpx.Response = await self.installed.alga.client.post(path, content=content, headers=sent)
        return response

    async def call(self, operation: str, /, **members: Any) -> httpx.Response:
        body = members if self.dialect == "prd" else {"operation": operation, **members}
        return await self.send(operation, json.dumps(body))


@pytest.fixture
async def both(alga: Alga) -> list[Caller]:
    """Two installs in the same state, which call in different dialects."""
    return [Caller(await alga.install(f"tenant-{dialect}"), dialect) for dialect in ("alga", "prd")]


def alike(answers: list[httpx.Response], *different: str) -> None:
    """Status, headers and body are the same, but for the ids in ``different``."""
    texts = []
    for answer in answers:
        text = answer.text
        for number, schedule_id in enumerate(different):
            text = text.replace(schedule_id, f"id-{number % (len(different) // 2)}")
        texts.append((answer.status_code, answer.headers.get("retry-after"), text))
    assert texts[0] == texts[1]


CALLS: list[tuple[str, dict[str, Any]]] = [
    ("list", {}),
    ("getEndpoints", {}),
    ("get", {"scheduleId": UNKNOWN_ID}),
    ("get", {}),
    ("create", {}),
    ("create", {"endpoint": "/nowhere", "cron": "* * * * *", "timezone": "Mars", "payload": 1}),
    ("create", {**HOURLY, "endpoint": "/both"}),
    ("create", {**HOURLY, "idempotencyKey": 5}),
    ("update", {"scheduleId": UNKNOWN_ID, "name": "New"}),
    ("update", {"name": "New"}),
    ("delete", {"scheduleId": UNKNOWN_ID}),
    ("delete", {"scheduleId": 5}),
]


@pytest.mark.parametrize(("operation", "members"), CALLS)
async def test_an_answer_does_not_depend_on_the_dialect(
    both: list[Caller], operation: str, members: dict[str, Any]
) -> None:
    alike([await caller.call(operation, **members) for caller in both])


async def test_a_schedule_is_made_changed_and_deleted_alike(both: list[Caller]) -> None:
    created = [await caller.call("create", **HOURLY, name="One", payload=[]) for caller in both]
    ids = [answer.json()["scheduleId"] for answer in created]
    alike(created, *ids)
    for operation, members in [
        ("get", {}),
        ("update", {"name": None, "enabled": False}),
        ("list", {}),
        ("update", {"cron": "bad"}),
        ("delete", {}),
        ("delete", {}),
    ]:
        answers = [
            await caller.call(operation, scheduleId=schedule_id, **members)
            for caller, schedule_id in zip(both, ids, strict=True)
        ]
        alike(answers, *ids)


@pytest.mark.parametrize("operation", SEGMENTS)
@pytest.mark.parametrize("content", ["", "[]", "nonsense", "{", '"text"'])
async def test_a_body_that_is_no_object_is_refused_alike(
    both: list[Caller], operation: str, content: str
) -> None:
    alike([await caller.send(operation, content) for caller in both])


@pytest.mark.parametrize("operation", SEGMENTS)
@pytest.mark.parametrize(
    "change",
    [
        {"x_runner_auth": "wrong"},
        {"x_runner_auth": None},
        {"x_alga_tenant": None},
        {"x_alga_extension": None},
        {"x_ext_install_id": None},
        {"x_alga_tenant": "tenant-other"},
        {"x_alga_extension": UNKNOWN_ID},
    ],
)
async def test_a_caller_who_may_not_is_refused_alike(
    both: list[Caller], operation: str, change: dict[str, str | None]
) -> None:
    body = json.dumps({"operation": operation})

    answers = [await caller.send(operation, body, caller.installed.headers(**change)) for caller in both]

    assert answers[0].status_code in {401, 404}
    alike(answers)


@pytest.mark.parametrize("operation", SEGMENTS)
async def test_the_capability_is_needed_in_both(both: list[Caller], alga: Alga, operation: str) -> None:
    for caller in both:
        await alga.admin("PATCH", caller.installed.admin_path, json={"grants": []})

    answers = [await caller.call(operation) for caller in both]

    assert answers[0].status_code == 403
    alike(answers)


@pytest.mark.parametrize("operation", SEGMENTS)
async def test_an_execution_token_is_needed_in_both(
    alga: Alga, both: list[Caller], settings: ServerSettings, operation: str
) -> None:
    object.__setattr__(
        alga.server._services, "settings", settings.model_copy(update={"require_execution_token": True})
    )

    answers = [await caller.call(operation) for caller in both]

    assert (answers[0].status_code, answers[0].json()["code"]) == (401, "EXECUTION_TOKEN_INVALID")
    alike(answers)


async def test_both_dialects_spend_one_rate(install: Install) -> None:
    schedule_id = await install.create()
    callers = [Caller(install, "alga"), Caller(install, "prd")]
    for number in range(49):
        answer = await callers[number % 2].call("update", scheduleId=schedule_id, name=f"{number}")
        assert answer.status_code == 200

    alike([await caller.call("delete", scheduleId=schedule_id) for caller in callers])


async def test_an_idempotency_key_holds_across_the_dialects(install: Install) -> None:
    answers = [
        await Caller(install, dialect).call("create", **HOURLY, idempotencyKey="k")
        for dialect in ("alga", "prd")
    ]

    assert answers[0].json() == answers[1].json()
    assert len(await install.list()) == 1


async def test_in_the_prd_dialect_the_body_cannot_name_another_operation_or_install(
    install: Install, alga: Alga
) -> None:
    other = await alga.install("tenant-b")
    theirs = await other.create()

    answer = await Caller(install, "prd").call(
        "list", operation="delete", scheduleId=theirs, installId=other.id, tenantId=other.tenant
    )

    assert answer.json() == {"schedules": []}
    assert len(await other.list()) == 1


@pytest.mark.parametrize("segment", ["getEndpoints", "LIST", "drop", "list/", ""])
async def test_an_unknown_operation_has_no_route(install: Install, alga: Alga, segment: str) -> None:
    path = f"/api/internal/extensions/scheduler/{segment}"

    assert (await alga.client.post(path, content="{}", headers=install.headers())).status_code == 404


@pytest.mark.parametrize("operation", SEGMENTS)
async def test_a_call_is_audited_the_same_in_both(
    both: list[Caller], caplog: pytest.LogCaptureFixture, operation: str
) -> None:
    caplog.set_level(logging.INFO, "alga_server")
    for caller in both:
        await caller.call(operation)

    lines = [record for record in caplog.records if getattr(record, "action", "") == "scheduler_api_call"]
    fields = [
        {name: getattr(line, name) for name in ("operation", "extension_id", "request_id", "status")}
        for line in lines
    ]
    assert fields[0] == fields[1]
    assert [line.tenant_id for line in lines] == ["tenant-alga", "tenant-prd"]  # type: ignore[attr-defined]
    assert (
        f'operation="{operation}",status="{fields[0]["status"]}"}} 2.0'
        in await both[0].installed.alga.metrics()
    )
