"""Answers that are not the Alga server's API: a guest is never misled by them, an operator reads what came back."""

from __future__ import annotations

from time import monotonic

import httpx
import pytest
from pydantic import SecretStr

from alga_runner.alga import HttpAlgaServer, Identity
from alga_runner.errors import HostCallCode, HostCallError, ServerFault

pytestmark = pytest.mark.anyio

TOKEN = "hush-hush-token"
IDENTITY = Identity("tenant-1", "acme.sync", "install-1", "request-1", "signed-execution-token")
HTML = "<!DOCTYPE html><title>404: This page could not be found</title>"


class Place:
    """Something that answers where the Alga server should be."""

    def __init__(self) -> None:
        self.answer = httpx.Response(200, json={"schedules": []})
        self.port = HttpAlgaServer(
            "https://alga.example", SecretStr(TOKEN), transport=httpx.MockTransport(lambda _: self.answer)
        )

    async def refusal(self, answer: httpx.Response) -> HostCallError:
        self.answer = answer
        with pytest.raises(HostCallError) as caught:
            await self.port.list_schedules(IDENTITY, monotonic() + 60)
        return caught.value

    async def accept(self) -> None:
        self.answer = httpx.Response(200, json={"schedules": []})
        await self.port.list_schedules(IDENTITY, monotonic() + 60)


@pytest.fixture
def place() -> Place:
    return Place()


@pytest.mark.parametrize(
    ("status", "expected"),
    [
        (200, "unavailable"),
        (204, "unavailable"),
        (302, "unavailable"),
        (400, "unavailable"),
        (403, "unavailable"),
        (404, "unavailable"),
        (405, "unavailable"),
        (409, "unavailable"),
        (413, "too-large"),
        (422, "unavailable"),
        (429, "rate-limited"),
        (500, "unavailable"),
        (502, "unavailable"),
        (503, "unavailable"),
        (504, "timeout"),
    ],
)
async def test_a_page_means_no_more_than_its_status_does_from_any_sender(
    place: Place, status: int, expected: str
) -> None:
    error = await place.refusal(httpx.Response(status, html=HTML))

    assert (error.host_code, error.fault) == (expected, ServerFault.UNUSABLE_ANSWER)
    assert error.detail == f"HTTP {status}, text/html; charset=utf-8, '{HTML}'"
    assert HTML not in str(error)


@pytest.mark.parametrize(
    "document",
    [
        {"detail": "Not Found"},
        {"message": "no Route matched with those values"},
        {"error": "Not Found", "status": 404, "path": "/api/internal"},
        {"error": "Not Found", "code": "not_found", "details": None},
        {"error": {"code": "NOT_FOUND", "message": "x"}},
        {"error": "Not Found", "code": "ROUTE_NOT_FOUND", "details": None},
        {"error": "not_found", "message": "There is no such route."},
        ["NOT_FOUND"],
        "NOT_FOUND",
        None,
    ],
)
async def test_a_404_of_another_route_or_proxy_is_not_a_missing_schedule(
    place: Place, document: object
) -> None:
    error = await place.refusal(httpx.Response(404, json=document))

    assert (error.host_code, error.fault) == (HostCallCode.UNAVAILABLE, ServerFault.UNUSABLE_ANSWER)


@pytest.mark.parametrize(
    "document",
    [
        {"error": "Install not found", "code": "NOT_FOUND", "details": None},
        {"success": False, "error": "Schedule not found", "code": "NOT_FOUND"},
        {"success": False, "error": "Schedule not found"},
    ],
)
async def test_the_api_s_own_404_is_not_found(place: Place, document: object) -> None:
    error = await place.refusal(httpx.Response(404, json=document, headers={"content-type": "text/plain"}))

    assert (error.host_code, error.fault) == (HostCallCode.NOT_FOUND, None)


@pytest.mark.parametrize(
    "answer",
    [
        httpx.Response(401, json={"error": "Invalid runner token", "code": "UNAUTHORIZED", "details": None}),
        httpx.Response(403, json={"error": "Invalid runner token", "code": "UNAUTHORIZED", "details": None}),
        httpx.Response(401, html="<h1>Authorization Required</h1>"),
        httpx.Response(401, json={"error": "Unauthorized"}),
    ],
)
async def test_a_refused_runner_token_is_the_operator_s_until_a_call_is_accepted(
    place: Place, answer: httpx.Response
) -> None:
    error = await place.refusal(answer)

    assert (error.host_code, error.fault) == (HostCallCode.UNAVAILABLE, ServerFault.UNAUTHORIZED)
    assert place.port.token_refused
    await place.accept()
    assert not place.port.token_refused


@pytest.mark.parametrize(
    ("status", "code"),
    [
        (401, "EXECUTION_TOKEN_INVALID"),
        (403, "CAPABILITY_DENIED"),
        (403, "NOT_ALLOWED"),
        (403, "FORBIDDEN"),
    ],
)
async def test_what_the_install_may_not_do_is_denied_and_shows_that_the_token_is_accepted(
    place: Place, status: int, code: str
) -> None:
    place.port.token_refused = True

    error = await place.refusal(httpx.Response(status, json={"error": "No.", "code": code}))

    assert (error.host_code, error.fault) == (HostCallCode.DENIED, None)
    assert not place.port.token_refused


@pytest.mark.parametrize("refused", [False, True])
async def test_a_stranger_s_answer_says_nothing_about_the_token(place: Place, *, refused: bool) -> None:
    place.port.token_refused = refused

    for status in (200, 403, 404, 502):
        await place.refusal(httpx.Response(status, html="<h1>Blocked</h1>"))

    assert place.port.token_refused is refused


async def test_a_proxy_s_retry_after_reaches_the_guest(place: Place) -> None:
    for status in (429, 503):
        error = await place.refusal(httpx.Response(status, html="busy", headers={"retry-after": "3"}))

        assert error.retry_after_ms == 3_000


@pytest.mark.parametrize("operation", ["list", "get", "getEndpoints"])
async def test_json_of_another_service_is_unavailable(place: Place, operation: str) -> None:
    place.answer = httpx.Response(200, json={"status": "ok", "version": 3})

    with pytest.raises(HostCallError) as caught:
        await place.port.ask(f"scheduler.{operation}", {}, IDENTITY, monotonic() + 60)

    assert caught.value.host_code is HostCallCode.UNAVAILABLE
    assert caught.value.detail == "HTTP 200, application/json, a JSON object with status, version"


async def test_what_came_back_is_cleaned_and_bounded(place: Place) -> None:
    body = b"\x1b[2J\r\n\xff\x00" + "\u202e".encode() + b"x" * 50_000
    headers = {
        "content-type": "text/plain" + ";" * 500,
        "location": "https://a.example/" + "b" * 500 + "?k=v",
    }

    detail = str((await place.refusal(httpx.Response(502, content=body, headers=headers))).detail)

    assert detail.isprintable()
    assert len(detail) < 300
    assert "?k=v" not in detail


@pytest.mark.parametrize("secret", [TOKEN, "signed-execution-token"])
@pytest.mark.parametrize("status", [200, 401, 404])
async def test_an_answer_that_repeats_a_secret_does_not_bring_it_into_the_log(
    place: Place, status: int, secret: str
) -> None:
    for answer in (
        httpx.Response(status, text=f"your headers: x-runner-auth: {secret}"),
        httpx.Response(status, json={"error": f"bad token {secret}"}),
        httpx.Response(status, json={"headers": secret}),
        httpx.Response(status, json={secret: 1}),
        httpx.Response(status, headers={"location": f"/{secret}", "content-type": secret}),
    ):
        assert secret not in str((await place.refusal(answer)).detail)
