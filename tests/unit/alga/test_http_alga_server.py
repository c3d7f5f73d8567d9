from __future__ import annotations

import json
from collections.abc import Callable
from time import monotonic
from typing import Any

import httpx
import pytest
from pydantic import SecretStr

from alga_runner.alga import DIALECTS, HttpAlgaServer, Identity, connect
from alga_runner.alga.http import normalised_base_url
from alga_runner.errors import HostCallCode, HostCallError, SettingsError
from alga_runner.models import CreateScheduleInput, UpdateScheduleInput
from alga_runner.settings import Settings

pytestmark = pytest.mark.anyio

TOKEN = "hush-hush-token"
IDENTITY = Identity("tenant-1", "acme.sync", "install-1", "request-1")
HOURLY = CreateScheduleInput(endpoint="/sync", cron="0 * * * *")

SCHEDULE = {
    "id": "s-1",
    "endpointPath": "/sync",
    "endpointMethod": "POST",
    "cron": "0 * * * *",
    "timezone": "UTC",
    "enabled": True,
    "name": None,
    "payload": {"a": None},
    "lastRunAt": None,
    "createdAt": "2026-01-01T00:00:00Z",
}
SNAKE_SCHEDULE = {
    "id": "s-1",
    "endpoint_path": "/sync",
    "endpoint_method": "POST",
    "cron": "0 * * * *",
    "timezone": "UTC",
    "enabled": True,
    "payload": {"a": None},
    "created_at": "2026-01-01T00:00:00Z",
}


class Script:
    """Answers every request alike and keeps the requests."""

    def __init__(self) -> None:
        self.requests: list[httpx.Request] = []
        self.answer: Callable[[httpx.Request], httpx.Response] = lambda _: httpx.Response(
            200, json={"schedules": []}
        )
        transport = httpx.MockTransport(self._handle)
        self.port = HttpAlgaServer("https://alga.example/api/", SecretStr(TOKEN), transport=transport)

    def _handle(self, request: httpx.Request) -> httpx.Response:
        self.requests.append(request)
        return self.answer(request)

    def answers(self, status: int, document: object = None, **headers: str) -> None:
        named = {name.replace("_", "-"): value for name, value in headers.items()}
        self.answer = lambda _: httpx.Response(status, json=document, headers=named)

    async def refusal(self) -> HostCallError:
        with pytest.raises(HostCallError) as caught:
            await self.port.create_schedule(IDENTITY, HOURLY, monotonic() + 60)
        return caught.value


@pytest.fixture
def script() -> Script:
    return Script()


def soon() -> float:
    return monotonic() + 60


async def test_a_call_goes_to_the_installs_route_with_the_executions_identity(script: Script) -> None:
    await script.port.list_schedules(IDENTITY, soon())

    (request,) = script.requests
    assert request.method == "POST"
    assert str(request.url) == "https://alga.example/api/internal/ext-scheduler/install/install-1"
    sent = {name: request.headers[name] for name in request.headers if name.startswith("x-")}
    assert sent == {
        "x-runner-auth": TOKEN,
        "x-alga-tenant": "tenant-1",
        "x-alga-extension": "acme.sync",
        "x-ext-install-id": "install-1",
        "x-request-id": "request-1",
    }
    assert json.loads(request.content) == {"operation": "list"}


async def test_a_call_without_a_request_id_sends_none(script: Script) -> None:
    await script.port.list_schedules(IDENTITY._replace(request_id=None), soon())

    assert "x-request-id" not in script.requests[0].headers


async def test_the_executions_token_goes_back_to_the_server_and_is_never_shown(script: Script) -> None:
    identity = IDENTITY._replace(execution_token="signed")

    await script.port.list_schedules(identity, soon())

    assert script.requests[0].headers["x-alga-execution-token"] == "signed"
    assert "signed" not in repr(identity)


async def test_an_install_id_cannot_leave_its_place_in_the_path(script: Script) -> None:
    await script.port.list_schedules(IDENTITY._replace(install_id="../../x?y#z/%2e"), soon())

    assert script.requests[0].url.raw_path == (
        b"/api/internal/ext-scheduler/install/..%2F..%2Fx%3Fy%23z%2F%252e"
    )


@pytest.mark.parametrize("member", ["tenant_id", "extension_id", "install_id", "request_id"])
@pytest.mark.parametrize("value", ["a\r\nx-runner-auth: b", "ü", " a", "a" * 600])
async def test_an_identity_cannot_forge_a_header(script: Script, member: str, value: str) -> None:
    with pytest.raises(HostCallError) as caught:
        await script.port.list_schedules(IDENTITY._replace(**{member: value}), soon())

    assert caught.value.host_code is HostCallCode.INTERNAL
    assert script.requests == []


async def test_create_sends_what_was_given_and_omits_the_rest(script: Script) -> None:
    script.answers(201, {"success": True, "scheduleId": "s-1"})
    schedule_input = CreateScheduleInput(endpoint="/sync", cron="0 * * * *", payload={"keep": None})

    assert await script.port.create_schedule(IDENTITY, schedule_input, soon()) == "s-1"
    assert json.loads(script.requests[0].content) == {
        "operation": "create",
        "endpoint": "/sync",
        "cron": "0 * * * *",
        "payload": {"keep": None},
    }


async def test_create_sends_its_idempotency_key(script: Script) -> None:
    script.answers(201, {"success": True, "scheduleId": "s-1"})

    await script.port.create_schedule(IDENTITY, HOURLY, soon(), idempotency_key="request-1:2")

    assert json.loads(script.requests[0].content)["idempotencyKey"] == "request-1:2"


async def test_update_sends_nothing_for_leave_and_null_for_clear(script: Script) -> None:
    script.answers(200, {"success": True})
    port = HttpAlgaServer(
        "https://a", SecretStr(TOKEN), dialect=DIALECTS["prd"], transport=httpx.MockTransport(script._handle)
    )
    changes = UpdateScheduleInput(schedule_id="s-1", name=None, enabled=False)

    await port.update_schedule(IDENTITY, changes, soon())

    assert json.loads(script.requests[0].content) == {"scheduleId": "s-1", "name": None, "enabled": False}


async def test_half_a_surrogate_pair_is_refused_before_it_is_sent(script: Script) -> None:
    schedule_input = HOURLY.model_copy(update={"payload": {"x": "\ud800"}})

    with pytest.raises(HostCallError) as caught:
        await script.port.create_schedule(IDENTITY, schedule_input, soon())

    assert caught.value.host_code is HostCallCode.VALIDATION_FAILED
    assert script.requests == []


@pytest.mark.parametrize("document", [SCHEDULE, SNAKE_SCHEDULE])
async def test_a_schedule_may_be_in_camel_case_or_snake_case(script: Script, document: Any) -> None:
    script.answers(200, {"schedule": document})

    schedule = await script.port.get_schedule(IDENTITY, "s-1", soon())

    assert schedule is not None
    assert (schedule.endpoint_path, schedule.payload, schedule.created_at) == (
        "/sync",
        {"a": None},
        "2026-01-01T00:00:00Z",
    )


async def test_null_is_no_schedule(script: Script) -> None:
    script.answers(200, {"schedule": None})

    assert await script.port.get_schedule(IDENTITY, "s-1", soon()) is None


async def test_one_bad_item_fails_the_whole_list_and_is_named(script: Script) -> None:
    script.answers(200, {"schedules": [SCHEDULE, {**SCHEDULE, "enabled": "yes"}]})

    with pytest.raises(HostCallError, match=r"schedules\.1\.enabled") as caught:
        await script.port.list_schedules(IDENTITY, soon())

    assert caught.value.host_code is HostCallCode.INTERNAL


@pytest.mark.parametrize(
    "document",
    [
        {"success": True},
        {"success": True, "scheduleId": ""},
        {"success": True, "scheduleId": 5},
        {"success": None, "scheduleId": "s"},
    ],
)
async def test_a_create_that_names_no_schedule_is_internal(script: Script, document: Any) -> None:
    script.answers(201, document)

    assert (await script.refusal()).host_code is HostCallCode.INTERNAL


@pytest.mark.parametrize(
    ("status", "expected"),
    [
        (400, "validation-failed"),
        (409, "conflict"),
        (413, "too-large"),
        (418, "internal"),
        (422, "validation-failed"),
        (429, "rate-limited"),
        (500, "internal"),
        (502, "unavailable"),
        (503, "unavailable"),
        (504, "timeout"),
    ],
)
async def test_a_refusal_whose_code_is_unknown_is_known_by_its_status(
    script: Script, status: int, expected: str
) -> None:
    script.answers(status, {"error": "No.", "code": "SOMETHING_NEW", "details": None})

    error = await script.refusal()
    assert (error.host_code, str(error), error.fault) == (expected, "No.", None)


@pytest.mark.parametrize(
    ("code", "expected"),
    [
        ("VALIDATION_FAILED", "validation-failed"),
        ("QUOTA_EXCEEDED", "quota-exceeded"),
        ("NOT_FOUND", "not-found"),
        ("RATE_LIMITED", "rate-limited"),
        ("EXECUTION_TOKEN_INVALID", "denied"),
        ("CAPABILITY_DENIED", "denied"),
        ("CONFLICT", "conflict"),
        ("BODY_TOO_LARGE", "too-large"),
        ("INTERNAL_ERROR", "internal"),
    ],
)
async def test_a_code_says_more_than_the_status(script: Script, code: str, expected: str) -> None:
    script.answers(400, {"error": "No.", "code": code, "details": None})

    error = await script.refusal()
    assert (error.host_code, str(error)) == (expected, "No.")


@pytest.mark.parametrize(
    ("message", "expected"),
    [
        ("Schedule not found", "not-found"),
        ("Too many schedules (max 50 per extension install)", "quota-exceeded"),
        ("Invalid timezone", "validation-failed"),
    ],
)
async def test_algas_refusals_without_a_code_are_known_by_their_words(
    script: Script, message: str, expected: str
) -> None:
    script.answers(400, {"success": False, "error": message})

    assert (await script.refusal()).host_code == expected


async def test_a_result_that_did_not_succeed_is_a_refusal_whatever_the_status(script: Script) -> None:
    script.answers(
        200, {"success": False, "error": "Invalid timezone", "fieldErrors": {"timezone": "Invalid"}}
    )

    error = await script.refusal()
    assert (error.host_code, str(error)) == (HostCallCode.VALIDATION_FAILED, "Invalid timezone")
    assert error.field_errors == {"timezone": "Invalid"}


async def test_field_errors_in_details_come_as_lists(script: Script) -> None:
    details = {"formErrors": [], "fieldErrors": {"cron": ["Required", "Too short"], "odd": 5, "none": []}}
    script.answers(400, {"error": "Validation error", "details": details})

    assert (await script.refusal()).field_errors == {"cron": "Required; Too short"}


@pytest.mark.parametrize(
    ("header", "expected"),
    [
        ("7", 7_000),
        ("0", 0),
        ("999999999", 86_400_000),
        ("-1", None),
        ("1.5", None),
        ("soon", None),
        ("٣", None),
    ],
)
async def test_retry_after_is_in_milliseconds_and_bounded(
    script: Script, header: str, expected: int | None
) -> None:
    encoded = header.encode()
    script.answer = lambda _: httpx.Response(429, json={"error": "slow"}, headers=[(b"retry-after", encoded)])

    assert (await script.refusal()).retry_after_ms == expected


async def test_the_servers_words_are_bounded(script: Script) -> None:
    fields = {f"{number}{'n' * 100}": "m" * 5_000 for number in range(100)}
    script.answers(400, {"error": "e" * 5_000, "fieldErrors": fields})

    error = await script.refusal()
    assert len(str(error)) == 1_000
    assert len(error.field_errors) == 32
    assert {len(name) for name in error.field_errors} == {64}
    assert {len(text) for text in error.field_errors.values()} == {1_000}


async def test_odd_members_of_a_refusal_do_no_harm(script: Script) -> None:
    script.answers(400, {"error": "No.", "code": 5, "fieldErrors": [1], "details": "none"})

    error = await script.refusal()
    assert (error.host_code, error.field_errors) == (HostCallCode.VALIDATION_FAILED, {})


async def test_a_write_is_tried_again_only_when_no_connection_could_be_made(script: Script) -> None:
    def refuse(request: httpx.Request) -> httpx.Response:
        if len(script.requests) == 1:
            raise httpx.ConnectError(TOKEN)
        return httpx.Response(201, json={"success": True, "scheduleId": "s-1"})

    script.answer = refuse

    assert await script.port.create_schedule(IDENTITY, HOURLY, soon()) == "s-1"


@pytest.mark.parametrize("error", [httpx.LocalProtocolError, httpx.ProxyError, httpx.DecodingError])
async def test_an_error_of_the_client_is_internal_without_its_text(
    script: Script, error: type[httpx.RequestError]
) -> None:
    def fail(_: httpx.Request) -> httpx.Response:
        raise error(f"Illegal header value b'{TOKEN}'")

    script.answer = fail

    refusal = await script.refusal()
    assert refusal.host_code is HostCallCode.INTERNAL
    assert TOKEN not in str(refusal)


async def test_after_closing_every_call_is_unavailable() -> None:
    port = HttpAlgaServer("https://alga.example", SecretStr(TOKEN))
    await port.aclose()

    with pytest.raises(HostCallError) as caught:
        await port.list_schedules(IDENTITY, soon())
    assert caught.value.host_code is HostCallCode.UNAVAILABLE


def test_the_token_is_not_in_the_repr() -> None:
    port = HttpAlgaServer("https://alga.example", SecretStr(TOKEN))

    assert repr(port) == "HttpAlgaServer('https://alga.example')"


@pytest.mark.parametrize(
    ("url", "expected"),
    [
        ("https://alga.example", "https://alga.example"),
        ("https://alga.example///", "https://alga.example"),
        ("https://alga.example/api", "https://alga.example"),
        ("https://alga.example/api/", "https://alga.example"),
        ("http://alga:3000/psa/api", "http://alga:3000/psa"),
        (" https://alga.example/apiary ", "https://alga.example/apiary"),
    ],
)
def test_a_base_url_loses_its_slashes_and_its_api(url: str, expected: str) -> None:
    assert normalised_base_url(url) == expected


@pytest.mark.parametrize(
    "url",
    [
        "alga.example",
        "ftp://alga.example",
        "https://",
        "https://me:secret@alga.example",
        "https://a/?x=1",
        "http://alga:port",
        "https://a/#f",
    ],
)
def test_a_base_url_that_cannot_be_used_is_refused_without_being_repeated(url: str) -> None:
    with pytest.raises(SettingsError) as caught:
        normalised_base_url(url)
    assert "secret" not in caught.value.sentence()


@pytest.mark.parametrize("token", ["", "line\n", "tök", " edge"])
def test_a_token_that_no_header_can_carry_is_refused_without_being_repeated(token: str) -> None:
    with pytest.raises(SettingsError) as caught:
        HttpAlgaServer("https://alga.example", SecretStr(token))
    assert token.strip() not in str(caught.value) or not token.strip()


async def test_without_a_server_every_call_is_unavailable() -> None:
    port = connect(Settings(server_url=None))

    with pytest.raises(HostCallError) as caught:
        await port.list_schedules(IDENTITY, soon())
    assert caught.value.host_code is HostCallCode.UNAVAILABLE


def test_a_server_without_a_token_is_a_mistake_in_the_settings() -> None:
    with pytest.raises(SettingsError, match="no token"):
        connect(Settings(server_url="https://alga.example", server_token=None))


async def test_the_settings_name_the_server() -> None:
    port = connect(Settings(server_url="https://alga.example/api", server_token=SecretStr(TOKEN)))

    assert repr(port) == "HttpAlgaServer('https://alga.example')"
    await port.aclose()
