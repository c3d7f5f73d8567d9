"""One call in one command: the response, the log, every host call, as text for people and JSON for machines."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import msgpack
import pytest

from alga_runner.bundles import read_bundle
from alga_runner.models import pack
from tests.support.guests import LIST_IMPORT

REQUEST_IN_LOG = """
  (drop (call $request (i32.const 2048) (i32.const 30000)))
  (call $emit (i32.const 1) (i32.const 2048) (call $request (i32.const 0) (i32.const 0)))
  (call $respond (i32.const 0) (global.get $ok))"""
REQUEST_AND_EMIT = """
  (import "alga:abi" "request" (func $request (param i32 i32) (result i32)))
  (import "alga:log" "emit" (func $emit (param i32 i32 i32)))"""
LIST = """
  (drop (call $list (i32.const 1024) (i32.const 1) (i32.const 0) (i32.const 0)))
  (call $respond (i32.const 0) (global.get $ok))"""
EMPTY_MAP = b"\x80"


def respond(document: object) -> dict[str, object]:
    """A guest that responds with ``document``."""
    data = msgpack.packb(document)
    return {"handler": f"(call $respond (i32.const 1024) (i32.const {len(data)}))", "data": data}


@pytest.fixture
def echo(extension) -> str:
    """An extension that writes the request it got into its log."""
    return extension(REQUEST_IN_LOG, imports=REQUEST_AND_EMIT)


@pytest.fixture
def lister(extension) -> str:
    """An extension that lists its schedules, which it declares."""
    return extension(LIST, imports=LIST_IMPORT, data=EMPTY_MAP, capabilities=["cap:scheduler.manage"])


def test_the_response_is_shown_with_status_headers_and_laid_out_json(run, extension) -> None:
    headers = [{"name": "content-type", "value": "application/json"}]
    result = run(
        "invoke",
        extension(**respond({"status": 201, "headers": headers, "body": b'{"a":[1]}'})),
        "POST",
        "/go",
    )

    assert result.exit_code == 0
    head, body, summary = result.stdout.split("\n\n")
    assert head == "201 Created\ncontent-type: application/json"
    assert body == '{\n  "a": [\n    1\n  ]\n}'
    assert summary.startswith("POST /go of com.example.test 1.2.3 responded with 201 after ")


def test_log_and_host_calls_are_shown_with_arguments_reply_and_duration(run, sample: str) -> None:
    shown = run("invoke", sample, "POST", "/setup", "--grant", "cap:scheduler.manage").stdout

    assert "\n  info   Created the schedule Hourly sync.\n" in shown
    call = shown[shown.index("  scheduler.create  ok  ") :].splitlines()
    assert call[0].endswith(" ms")
    assert call[1].startswith('    -> {"endpoint": "POST /sync", "cron": "0 * * * *"')
    assert call[2].startswith('    <- {"ok": {"scheduleId": "')
    assert "4 host calls, 2 log lines." in shown.splitlines()[-1]


def test_calls_of_the_system_are_counted_in_the_summary(run, extension) -> None:
    yields = '(import "wasi_snapshot_preview1" "sched_yield" (func $yield (result i32)))'
    handler = "(drop (call $yield)) (drop (call $yield)) (call $respond (i32.const 0) (global.get $ok))"

    result = run("invoke", extension(handler, imports=yields), "POST", "/go")

    assert ", 2 system calls." in result.stdout.splitlines()[-1]


def test_a_state_keeps_the_install_and_its_schedules_for_the_next_call(
    run, sample: str, tmp_path: Path
) -> None:
    def called(*arguments: str) -> dict[str, Any]:
        granted = ("--grant", "scheduler.manage", "--state", str(tmp_path / "a state?.db"), "--json")
        return json.loads(run("invoke", sample, *arguments, *granted).stdout)

    called("POST", "/setup")
    called("POST", "/configure", "--body", '{"intervalHours": 6}')
    listed = json.loads(called("GET", "/schedules")["response"]["body"])
    called("POST", "/cleanup")

    assert [schedule["cron"] for schedule in listed["schedules"]] == ["0 */6 * * *", "30 2 * * *"]
    assert json.loads(called("GET", "/schedules")["response"]["body"])["schedules"] == []
    assert (tmp_path / "a state?.db").is_file()


def test_grants_and_configuration_of_a_state_are_those_of_each_call(run, lister: str, tmp_path: Path) -> None:
    state = ("--state", str(tmp_path / "state.db"), "--json")
    run("invoke", lister, "POST", "/go", "--grant", "scheduler.manage", *state)

    denied = json.loads(run("invoke", lister, "POST", "/go", *state).stdout)

    assert [call["status"] for call in denied["hostCalls"]] == ["denied"]


def test_a_changed_extension_needs_another_version_for_the_same_state(run, extension, tmp_path: Path) -> None:
    state = ("--state", str(tmp_path / "state.db"))
    for number in (1, 2):
        path = extension(**respond({"status": 200, "body": bytes([number])}))
        result = run("invoke", path, "POST", "/go", *state)

    assert result.exit_code == 1
    assert "version" in result.stderr


def test_a_packed_bundle_is_called_like_its_folder(run, sample: str, tmp_path: Path) -> None:
    archive = tmp_path / "bundle.tar.zst"
    archive.write_bytes(pack(read_bundle(sample).files))

    result = run("invoke", str(archive), "GET", "/schedules", "--grant", "scheduler.manage")

    assert result.exit_code == 0
    assert '"schedules": []' in result.stdout


def test_json_reaches_the_guest_as_it_was_typed_with_its_content_type(run, echo: str) -> None:
    shown = run("invoke", echo, "POST", "/go", "--body", '{"a":  1}').stdout

    assert '{"a":  1}' in shown
    assert "application/json" in shown


def test_a_header_of_one_s_own_wins_over_the_one_for_json(run, echo: str) -> None:
    shown = run("invoke", echo, "POST", "/go", "--body", "[1]", "--header", "Content-Type: text/plain").stdout

    assert "text/plain" in shown
    assert "application/json" not in shown


def test_a_body_is_read_from_stdin(run, echo: str) -> None:
    assert "from a pipe" in run("invoke", echo, "POST", "/go", "--body", "@-", input="from a pipe").stdout


def test_a_body_need_not_be_utf_8(run, echo: str, tmp_path: Path) -> None:
    (tmp_path / "body").write_bytes(b"<\xff\xfe>")

    result = run("invoke", echo, "POST", "/go", "--body", f"@{tmp_path / 'body'}")

    assert result.exit_code == 0
    assert "<\N{REPLACEMENT CHARACTER}\N{REPLACEMENT CHARACTER}>" in result.stdout


def test_query_configuration_and_tenant_reach_the_guest(run, echo: str) -> None:
    shown = run(
        "invoke", echo, "POST", "/go?year=2026", "--config", "currency=EUR", "--tenant", "initech"
    ).stdout

    assert "year=2026" in shown
    assert "currency" in shown
    assert "EUR" in shown
    assert "initech" in shown


def test_headers_that_a_gateway_drops_are_named(run, echo: str) -> None:
    result = run("invoke", echo, "POST", "/go", "--header", "Cookie: a=b", "--header", "accept: text/csv")

    assert "forward these headers to an extension: cookie." in result.stderr
    assert "text/csv" in result.stdout


def test_headers_of_the_response_that_no_caller_sees_are_named(run, extension) -> None:
    names = ["Set-Cookie", "content-type", "location"]
    headers = [{"name": name, "value": "text/plain" if name == "content-type" else "/x"} for name in names]

    result = run("invoke", extension(**respond({"status": 303, "headers": headers})), "POST", "/go")

    assert "of the response through the gateway: Set-Cookie, location." in result.stderr


def test_a_query_is_called_with_as_it_is_written(run, echo: str) -> None:
    shown = run("invoke", echo, "POST", "/go?a=1&a=2&flag&b=%ff&c=ü #").stdout

    assert "/go?a=1&a=2&flag&b=%ff&c=%C3%BC%20%23" in shown


def test_a_binary_response_is_shown_by_its_first_bytes(run, extension) -> None:
    shown = run("invoke", extension(**respond({"status": 200, "body": b"\xff\x00"})), "POST", "/go").stdout

    assert "(2 bytes, not UTF-8: ff 00)" in shown


def test_what_a_guest_writes_cannot_drive_the_terminal(run, extension) -> None:
    body = "\x1b]0;owned\x07\N{RIGHT-TO-LEFT OVERRIDE}[bold]"
    shown = run("invoke", extension(**respond({"status": 200, "body": body.encode()})), "POST", "/go").stdout

    assert "\\x1b]0;owned\\x07\\u202e[bold]" in shown
    assert "\x1b" not in shown


def test_a_denied_call_names_the_grant_that_would_help(run, lister: str) -> None:
    result = run("invoke", lister, "POST", "/go")

    assert result.exit_code == 0
    assert "  scheduler.list  denied  " in result.stdout
    assert result.stderr == "hint: scheduler.list was denied; grant it with --grant cap:scheduler.manage.\n"


def test_a_denied_call_of_an_undeclared_capability_says_to_declare_it_first(run, extension) -> None:
    path = extension(LIST, imports=LIST_IMPORT, data=EMPTY_MAP)

    result = run("invoke", path, "POST", "/go")

    assert "declare cap:scheduler.manage in manifest.json, then grant it" in result.stderr


def test_a_granted_call_needs_no_hint(run, lister: str) -> None:
    result = run("invoke", lister, "POST", "/go", "--grant", "Scheduler.Manage")

    assert "  scheduler.list  ok  " in result.stdout
    assert result.stderr == ""


def test_a_grant_that_everyone_has_may_be_given(run, lister: str) -> None:
    assert run("invoke", lister, "POST", "/go", "--grant", "cap:log.emit").exit_code == 0


def test_json_output_is_one_document_with_everything(run, sample: str) -> None:
    result = run("invoke", sample, "POST", "/setup", "--grant", "scheduler.manage", "--json")

    document = json.loads(result.stdout)
    assert document["succeeded"] is True
    assert document["error"] is None
    assert document["extension"]["version"] == "1.0.0"
    assert json.loads(document["response"]["body"])["existing"] == []
    assert [line["level"] for line in document["log"]] == ["info", "info"]
    operations = [call["operation"] for call in document["hostCalls"]]
    assert operations[:3] == ["scheduler.get-endpoints", "scheduler.list", "scheduler.create"]
    assert all(call["durationMs"] > 0 for call in document["hostCalls"])


def test_json_output_has_every_header_in_order_next_to_one_value_for_each_name(run, extension) -> None:
    headers = [["vary", "a"], ["Set-Cookie", "b=1"], ["Vary", "c"], ["set-cookie", "d=2"]]
    guest = respond({"status": 200, "headers": [{"name": name, "value": value} for name, value in headers]})

    response = json.loads(run("invoke", extension(**guest), "POST", "/go", "--json").stdout)["response"]

    assert response["headerList"] == headers
    assert response["headers"] == {"Vary": "a, c"}


def test_json_output_carries_a_binary_body_in_base64(run, extension) -> None:
    path = extension(**respond({"status": 200, "body": b"\xff"}))

    response = json.loads(run("invoke", path, "POST", "/go", "--json").stdout)["response"]

    assert response["body"] is None
    assert response["bodyBase64"] == "/w=="


@pytest.mark.parametrize(("status", "exit_code"), [(200, 0), (404, 0), (499, 0), (500, 1), (599, 1)])
def test_the_exit_status_tells_a_response_of_500_and_more(
    run, extension, status: int, exit_code: int
) -> None:
    result = run("invoke", extension(**respond({"status": status})), "POST", "/go")

    assert result.exit_code == exit_code
    assert ("error: The extension responded with status" in result.stderr) is (exit_code == 1)
