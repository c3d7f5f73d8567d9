"""Calling an endpoint through the gateway from the command line."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import anyio
import httpx
import pytest

from alga_server import ManualClock, Server, ServerSettings
from tests.support.server import ScriptedRunner
from tests.support.server_cli import NAME, TOKEN, Run, refused, unasked

CALL = ("call", NAME, "POST", "/sync", "--tenant", "acme")


@pytest.fixture
def runner() -> ScriptedRunner:
    runner = ScriptedRunner()
    runner.responds(
        body_b64="eyJhIjogMX0=", headers={"content-type": "application/json", "set-cookie": "a=b"}
    )
    return runner


@pytest.fixture
def app(runner: ScriptedRunner, monkeypatch: pytest.MonkeyPatch) -> Iterator[Any]:
    """A server with a gateway, in front of ``runner``."""
    monkeypatch.setenv("ALGA_SERVER_GATEWAY_TOKEN", "gateway-token")
    settings = ServerSettings(admin_token=TOKEN, gateway_token="gateway-token")
    server = Server(settings, clock=ManualClock(), runner_transport=httpx.MockTransport(runner))
    yield server.app
    anyio.run(server.aclose)


def test_status_headers_and_body_are_printed(alga: Run, installed: dict[str, Any]) -> None:
    result = alga(*CALL)

    lines = result.stdout.splitlines()
    assert result.exit_code == 0
    assert lines[0] == "200 OK"
    assert "content-type: application/json" in lines
    assert "set-cookie" not in result.stdout
    assert lines[-3:] == ["{", '  "a": 1', "}"]


def test_body_query_and_person_reach_the_guest(
    alga: Run, installed: dict[str, Any], runner: ScriptedRunner, tmp_path: Path
) -> None:
    (tmp_path / "body.json").write_text('{"b":  2}')

    alga(
        *(
            "call",
            NAME,
            "post",
            "/sync?year=2026",
            "--tenant",
            "acme",
            "--body",
            f"@{tmp_path / 'body.json'}",
        ),
        *("--header", "x-alga-user-id: u-1"),
    )

    request = runner.document
    assert (request["http"]["method"], request["http"]["path"]) == ("POST", "/sync?year=2026")
    assert request["http"]["headers"]["content-type"] == "application/json"
    assert request["http"]["body_b64"] == "eyJiIjogIDJ9"
    assert request["user"]["user_id"] == "u-1"


def test_the_answer_is_a_document_too(alga: Run, installed: dict[str, Any]) -> None:
    document = json.loads(alga(*CALL, "--json").stdout)

    assert (document["status"], document["body"], document["bodyBase64"]) == (200, '{"a": 1}', None)


def test_a_header_that_does_not_reach_the_extension_is_named(alga: Run, installed: dict[str, Any]) -> None:
    result = alga(*CALL, "--header", "x-mine: 1", "--header", "accept: text/plain")

    assert result.stderr == "hint: The gateway does not forward these headers to an extension: x-mine.\n"


def test_a_failed_call_has_status_1_and_names_the_request(
    alga: Run, installed: dict[str, Any], runner: ScriptedRunner
) -> None:
    runner.answer = lambda _: httpx.Response(401)

    result = alga(*CALL, "--header", "x-request-id: mine")

    assert (result.exit_code, result.stdout.splitlines()[0]) == (1, "502 Bad Gateway")
    assert "the server's log has the cause, at request mine." in result.stderr


def test_without_the_gateway_s_token_nothing_is_called(
    alga: Run, installed: dict[str, Any], runner: ScriptedRunner, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("ALGA_SERVER_GATEWAY_TOKEN")

    assert "ALGA_SERVER_GATEWAY_TOKEN is not set" in refused(alga(*CALL), "token_missing")
    assert runner.asked == []


@pytest.mark.parametrize(
    "arguments", [["FETCH", "/sync"], ["POST", "sync"], ["POST", "/sync", "--body", "@/nowhere"]]
)
def test_bad_usage_asks_nothing(alga: Run, arguments: list[str]) -> None:
    assert alga("call", NAME, *arguments, "--tenant", "acme", transport=unasked()).exit_code == 2


def test_a_call_of_a_disabled_install_names_the_command_that_enables_it(
    alga: Run, installed: dict[str, Any]
) -> None:
    alga("disable", NAME, "--tenant", "acme")

    result = alga(*CALL)

    assert result.stdout.startswith("404 Not Found")
    assert (
        f"hint: The install is disabled; `alga-server enable {NAME} --tenant acme` enables it."
        in result.stderr
    )


def test_a_wrong_gateway_token_is_answered_with_the_variable_s_name(
    alga: Run, installed: dict[str, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("ALGA_SERVER_GATEWAY_TOKEN", "wrong-secret")

    result = alga(*CALL)

    assert "hint: ALGA_SERVER_GATEWAY_TOKEN must be the token" in result.stderr
    assert "wrong-secret" not in result.output
