"""A command that fails names the cause and what to do."""

from __future__ import annotations

import json
import ssl
from pathlib import Path
from typing import Any

import click
import httpx
import pytest

from alga_server.cli import main
from tests.support.server_cli import NAME, Run, refused, unasked

CONTEXT = click.Context(main)
COMMANDS = main.list_commands(CONTEXT)
CLIENTS = [
    name
    for name in COMMANDS
    if name not in {"backup", "doctor", "environment", "migrate", "restore", "serve"}
]
ARGUMENTS = {
    "publish": ["."],
    "install": [NAME, "--tenant", "acme"],
    "grant": [NAME, "--tenant", "acme", "--grant", "log.emit"],
    "revoke": [NAME, "--tenant", "acme", "--grant", "log.emit"],
    "configure": [NAME, "--tenant", "acme", "--unset", "region"],
    "call": [NAME, "GET", "/report", "--tenant", "acme"],
    **{name: [NAME, "--tenant", "acme"] for name in ("enable", "disable", "uninstall", "upgrade", "run-now")},
    **{name: ["--tenant", "acme"] for name in ("installs", "invoices", "schedules", "runs")},
}


@pytest.mark.parametrize("name", CLIENTS)
def test_a_server_that_is_down_is_one_sentence_with_its_url(alga: Run, name: str, folder: Path) -> None:
    def down(request: httpx.Request) -> httpx.Response:
        raise httpx.ConnectError("[Errno 111] Connection refused", request=request)

    arguments = [str(folder) if word == "." else word for word in ARGUMENTS.get(name, [])]
    result = alga(name, *arguments, "--server", "http://127.0.0.1:9", transport=httpx.MockTransport(down))

    said = refused(result, "server_unreachable")
    assert said.splitlines()[0].endswith("No server answers at http://127.0.0.1:9.")
    assert "hint: Start one with `alga-server serve --dev`" in said


@pytest.mark.parametrize(
    ("kind", "member", "said"),
    [
        (ssl.SSLError, {"reason": "WRONG_VERSION_NUMBER"}, "wrong version number"),
        (
            ssl.SSLCertVerificationError,
            {"verify_message": "self-signed certificate"},
            "its certificate is not trusted (self-signed certificate)",
        ),
    ],
)
def test_tls_that_fails_is_not_called_a_server_that_is_down(
    alga: Run, kind: type[ssl.SSLError], member: dict[str, str], said: str
) -> None:
    def refuse(request: httpx.Request) -> httpx.Response:
        fault = kind(1, "of TLS")
        vars(fault).update(member)
        raise httpx.ConnectError("of TLS", request=request) from fault

    url = "https://127.0.0.1:9"
    result = alga("extensions", "--server", url, transport=httpx.MockTransport(refuse))

    shown = refused(result, "server_unreachable")
    assert f"No TLS connection to {url} could be made: {said}." in shown
    assert "SSL_CERT_FILE" in shown


@pytest.mark.parametrize(
    ("line", "said"),
    [
        (["shedules", "--tenant", "acme"], "No such command 'shedules'. Did you mean 'schedules'?"),
        (["--server", "http://127.0.0.1:9", "runs"], "options of a command go after its name"),
    ],
)
def test_a_slip_of_the_command_line_is_answered_with_what_to_type(
    alga: Run, line: list[str], said: str
) -> None:
    result = alga(*line, transport=unasked())

    assert result.exit_code == 2
    assert said in result.stderr


def test_a_wrong_token_is_refused_with_the_variable_s_name(
    alga: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("ALGA_SERVER_ADMIN_TOKEN", "wrong-secret")

    said = refused(alga("extensions"), "unauthorized")

    assert "hint: ALGA_SERVER_ADMIN_TOKEN must be the token" in said
    assert "wrong-secret" not in said


@pytest.mark.parametrize(
    ("value", "code"), [(None, "token_missing"), (" ", "token_missing"), ("\u00e4", "token_invalid")]
)
def test_a_token_that_cannot_be_sent_is_named_before_anything_is(
    alga: Run, monkeypatch: pytest.MonkeyPatch, value: str | None, code: str
) -> None:
    if value is None:
        monkeypatch.delenv("ALGA_SERVER_ADMIN_TOKEN")
    else:
        monkeypatch.setenv("ALGA_SERVER_ADMIN_TOKEN", value)

    assert "ALGA_SERVER_ADMIN_TOKEN" in refused(alga("extensions", transport=unasked()), code)


@pytest.mark.parametrize(
    "response",
    [
        httpx.Response(200, text="<html>hello</html>"),
        httpx.Response(200, json=["a", "list"]),
        httpx.Response(404, text="404 page not found"),
        httpx.Response(302, headers={"location": "http://elsewhere"}),
        httpx.Response(500, json={"detail": "other"}),
    ],
)
def test_what_is_no_alga_server_is_said_to_be_none(alga: Run, response: httpx.Response) -> None:
    result = alga("extensions", transport=httpx.MockTransport(lambda _: response))

    assert f"(status {response.status_code})" in refused(result, "not_alga_server")


def test_a_server_that_does_not_answer_leaves_the_outcome_open(alga: Run, folder: Path) -> None:
    def slow(request: httpx.Request) -> httpx.Response:
        raise httpx.ReadTimeout("", request=request)

    said = refused(alga("publish", str(folder), transport=httpx.MockTransport(slow)), "server_timeout")

    assert "hint: The request may have been carried out" in said


def test_a_connection_that_breaks_is_a_sentence(alga: Run) -> None:
    def broken(request: httpx.Request) -> httpx.Response:
        raise httpx.RemoteProtocolError("Server disconnected without sending a response.", request=request)

    refused(alga("extensions", transport=httpx.MockTransport(broken)), "server_unreachable")


def test_field_errors_of_the_server_are_shown(alga: Run, installed: dict[str, Any]) -> None:
    body = {
        "error": "Validation error",
        "code": "validation_failed",
        "fieldErrors": {"grants": "Wrong\x1b[31m"},
    }
    result = alga(
        "installs",
        "--tenant",
        "acme",
        transport=httpx.MockTransport(lambda _: httpx.Response(400, json=body)),
    )

    assert refused(result, "validation_failed").splitlines()[1] == "  grants: Wrong\\x1b[31m"


def test_a_failure_is_a_document_too_when_json_is_wanted(alga: Run) -> None:
    result = alga("install", "nothing", "--tenant", "acme", "--json")

    refused(result, "not_found")
    error = json.loads(result.stdout)["error"]
    assert sorted(error) == ["code", "fieldErrors", "hint", "message"]
    assert error["code"] == "not_found"


@pytest.mark.parametrize(
    "arguments",
    [
        ("extensions", "--name", "\udcff"),
        ("install", "\udcff", "--tenant", "acme"),
        ("runs", "--tenant", "acme", "--install", "\udcff"),
        ("upgrade", "\udcff", "--tenant", "acme"),
    ],
)
def test_an_argument_that_is_not_utf_8_is_named(alga: Run, arguments: tuple[str, ...]) -> None:
    said = alga(*arguments)

    assert said.exit_code in {1, 2}
    assert r"\udcff" in said.stderr
    assert "error[internal]" not in said.stderr


def test_ctrl_c_ends_a_command_with_130(alga: Run) -> None:
    def interrupt(_: httpx.Request) -> httpx.Response:
        raise KeyboardInterrupt

    result = alga("extensions", transport=httpx.MockTransport(interrupt))

    assert (result.exit_code, result.output) == (130, "")


def test_a_fault_of_the_command_itself_is_a_sentence_too(alga: Run) -> None:
    def oops(_: httpx.Request) -> httpx.Response:
        raise ZeroDivisionError("oops")

    said = refused(alga("extensions", transport=httpx.MockTransport(oops)), "internal")

    assert "ZeroDivisionError: oops" in said
    assert "hint: This is a fault of alga-server; run it again as `alga-server --debug" in said


def test_debug_lets_the_exception_through(alga: Run) -> None:
    def oops(_: httpx.Request) -> httpx.Response:
        raise ZeroDivisionError("oops")

    assert isinstance(
        alga("--debug", "extensions", transport=httpx.MockTransport(oops)).exception, ZeroDivisionError
    )


def test_a_capability_that_the_manifest_does_not_declare_is_refused_with_where_to_look(
    alga: Run, installed: dict[str, Any]
) -> None:
    result = alga("grant", NAME, "--tenant", "acme", "--grant", "http.fetch")

    refused(result, "validation_failed")
    assert "Not declared by the extension's manifest: cap:http.fetch" in result.stderr
    assert (
        "hint: Grant what the extension's manifest declares; `alga-server extensions` lists it."
        in result.stderr
    )


def test_a_code_that_only_a_newer_server_has_gets_a_next_step(alga: Run) -> None:
    answer = httpx.MockTransport(lambda _: httpx.Response(418, json={"code": "teapot", "error": "A teapot"}))

    result = alga("extensions", transport=answer)

    refused(result, "teapot")
    assert "hint: Look the code up in docs/errors.md" in result.stderr
