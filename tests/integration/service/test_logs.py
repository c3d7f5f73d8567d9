"""The service's log lines: their fields, and the secrets that no line has."""

from __future__ import annotations

import io
import json
import logging
import os
from collections.abc import Iterator

import pytest

from alga_common.logging import JsonLines, TextLines
from alga_runner import ExecuteRequest, Runner
from alga_runner.bundles import Bundle
from alga_runner.models import ExecutionContext
from alga_runner.telemetry import Telemetry, configure_logging
from tests.support.bundles import make_bundle
from tests.support.guests import guest_wat

pytestmark = pytest.mark.anyio


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


SWITCHES = ("logThreads", "logProcesses", "logMultiprocessing", "logAsyncioTasks", "_srcfile")
"""Of Python's logging, for what records hold."""


@pytest.fixture(autouse=True)
def logging_as_it_was() -> Iterator[None]:
    root, own = logging.getLogger(), logging.getLogger("alga_runner")
    handlers, level, own_level = root.handlers[:], root.level, own.level
    switches = {name: getattr(logging, name, True) for name in SWITCHES}
    yield
    for name, value in switches.items():
        setattr(logging, name, value)
    root.handlers[:] = handlers
    root.setLevel(level)
    own.setLevel(own_level)


@pytest.fixture
def log(runner: Runner):
    """The lines so far, as JSON; the log is at ``debug``."""
    stream = io.StringIO()
    configure_logging("debug", stream)

    def lines(action: str | None = None) -> list[dict]:
        runner.telemetry.flush()
        written = [json.loads(line) for line in stream.getvalue().splitlines()]
        return [line for line in written if action is None or line.get("action") == action]

    return lines


@pytest.fixture(autouse=True)
def no_request_is_slow(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("alga_runner.service.app.SLOW_S", float("inf"))


def loud(lines: list[dict]) -> list[str]:
    """The lines above ``debug`` on requests and executions, by action."""
    return [line["action"] for line in lines if line["level"] != "debug" and line["action"] != "compilation"]


async def test_a_request_and_its_execution_leave_one_line(execute, log) -> None:
    await execute(context={"request_id": "request-1"})

    assert loud(log()) == ["execution"]
    assert log("execution")[0]["request_id"] == "request-1"


async def test_a_request_keeps_its_line_where_that_of_the_execution_lacks_its_id(execute, log) -> None:
    await execute(headers={"x-request-id": "from-header"})

    assert loud(log()) == ["execution", "http_request"]


async def test_a_request_whose_reply_was_stored_keeps_its_line(execute, log) -> None:
    for _ in range(2):
        await execute(headers={"x-idempotency-key": "key-1"}, context={"request_id": "request-1"})

    assert loud(log()) == ["execution", "http_request"]


async def test_a_request_whose_execution_failed_keeps_its_line(execute, publish, log) -> None:
    await execute(publish("unreachable"), context={"request_id": "request-1"})

    assert loud(log()) == ["execution", "http_request"]


async def test_a_slow_request_keeps_its_line(execute, log, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("alga_runner.service.app.SLOW_S", 0.0)

    await execute(context={"request_id": "request-1"})

    assert loud(log()) == ["execution", "http_request"]


async def test_the_line_of_a_request_has_its_route_status_and_caller(execute, log) -> None:
    await execute(context={"request_id": "request-1", "version_id": "v1"})

    (line,) = log("http_request")
    assert line["duration_ms"] >= 0
    assert line["time"].endswith("Z")
    expected = {
        "level": "debug",
        "logger": "alga_runner",
        "operation": "/v1/execute",
        "status": "200",
        "detail": "ok",
        "tenant_id": "acme",
        "extension_id": "ext",
        "install_id": "install-1",
        "version_id": "v1",
        "request_id": "request-1",
    }
    assert {name: line[name] for name in expected} == expected


async def test_the_request_id_of_the_header_does_where_the_body_has_none(execute, log) -> None:
    await execute(headers={"x-request-id": "from-header"})

    assert log("http_request")[0]["request_id"] == "from-header"


async def test_how_it_went_is_told_in_a_word(execute, publish, log) -> None:
    await execute(publish("unreachable"))
    await execute(headers={"x-alga-tenant": ""})
    await execute(headers={"x-runner-service-token": "wrong"})

    assert [(line["status"], line["detail"]) for line in log("http_request")] == [
        ("200", "execute_failed"),
        ("200", "missing_routing_headers"),
        ("401", "unauthorized: the token is wrong"),
    ]


async def test_a_refusal_names_the_setting_that_admits_a_caller_without_a_token(client, log) -> None:
    response = await client.post("/v1/execute", json={})

    [line] = log("http_request")
    assert line["detail"] == (
        "unauthorized: the caller sent no token; ALGA_RUNNER_ALLOW_UNAUTHENTICATED_EXECUTE=true admits such callers"
    )
    assert "ALGA_RUNNER" not in response.text


async def test_probes_are_logged_quietly(client, log) -> None:
    await client.get("/healthz")

    assert log("http_request")[0]["level"] == "debug"


async def test_nothing_that_is_secret_is_logged(client, execute, publish, headers, log) -> None:
    secrets = {
        "http": {
            "body_b64": "aHVudGVyMg==",
            "headers": {"authorization": "hunter2"},
            "query": {"q": "hunter2"},
        },
        "secret_envelope": {"ciphertext_b64": "hunter2"},
        "execution_token": "hunter2",
        "user": {"user_id": "u", "user_email": "hunter2", "user_name": "hunter2", "user_type": "hunter2"},
    }
    await execute(publish("unreachable"), headers={"x-idempotency-key": "hunter2"}, **secrets)
    await execute(context={"config": {"k": 5, "hunter2": "hunter2"}})
    await execute(headers={"x-runner-service-token": "hunter2"})
    await client.post(
        "/v1/execute", content=b"hunter2", headers=headers | {"content-type": "application/json"}
    )

    text = json.dumps(log())
    assert "hunter2" not in text
    assert "aHVudGVyMg" not in text
    assert headers["x-runner-service-token"] not in text


@pytest.mark.parametrize(
    ("method", "path", "endpoint"),
    [
        ("POST", "/sync", "POST /sync"),
        ("GET", "/customers/jane%40example.org", "GET /customers/:email"),
        ("GET", "/tokens/hunter2", None),
        ("GET", "/%ff", None),
    ],
)
async def test_an_execution_s_line_names_extension_version_and_declared_handler(
    bundles, execute, log, *, method: str, path: str, endpoint: str | None
) -> None:
    endpoints = [
        {"method": "POST", "path": "/sync", "handler": "sync"},
        {"method": "GET", "path": "/customers/:email", "handler": "customer"},
    ]
    content_hash = bundles.add(make_bundle(guest_wat("(unreachable)"), api={"endpoints": endpoints}))

    await execute(content_hash, http={"method": method, "path": path}, context={"version_id": "v1"})

    (line,) = log("execution")
    assert (line["extension_id"], line["version_id"], line.get("endpoint")) == ("ext", "v1", endpoint)
    handler = "" if endpoint is None else f", {endpoint},"
    assert line["message"].startswith(
        f"Execution of extension ext (version v1){handler} ended with guest_trap after "
    )
    assert "jane" not in str(line)
    assert "hunter2" not in str(line)


async def test_a_bundle_without_a_manifest_runs_and_its_line_names_no_handler(bundles, execute, log) -> None:
    bundle = make_bundle(guest_wat())
    files = {name: data for name, data in bundle.files.items() if name != "manifest.json"}

    response = await execute(bundles.add(Bundle.from_files(files)))

    assert response.json()["status"] == 200
    assert "endpoint" not in log("execution")[0]


async def test_an_id_cannot_forge_a_line(execute, log) -> None:
    forged = 'x\n{"action": "http_request"}' + "y" * 1_000

    await execute(context={"request_id": forged})

    (line,) = log("http_request")
    assert "\n" not in line["request_id"]
    assert len(line["request_id"]) < 400


@pytest.mark.parametrize(("enabled", "logged"), [(False, []), (True, ["hunter2"])])
async def test_lines_of_guests_are_logged_only_if_enabled(
    settings, bundles, publish, request_for, log, *, enabled: bool, logged: list[str]
) -> None:
    content_hash = publish(
        "(call $emit (i32.const 1) (i32.const 1024) (i32.const 7)) (call $respond (i32.const 0) (global.get $ok))",
        imports='(import "alga:log" "emit" (func $emit (param i32 i32 i32)))',
        data=b"hunter2",
    )
    request = ExecuteRequest.model_validate(request_for(content_hash))

    async with Runner(settings.model_copy(update={"log_guest_lines": enabled}), bundles=bundles) as runner:
        await runner.execute(request)

    assert [line["detail"] for line in log("guest_log")] == logged


def record(message: str = "It %s", *arguments: object, **fields: object) -> logging.LogRecord:
    made = logging.LogRecord("a.b", logging.WARNING, "file", 1, message, arguments or ("broke",), None)
    vars(made).update(fields)
    return made


def test_records_of_a_program_do_not_look_for_where_they_were_made() -> None:
    made: list[logging.LogRecord] = []
    configure_logging("info", io.StringIO())
    logging.getLogger().handlers[0].addFilter(lambda record: made.append(record) is None)

    logging.getLogger("alga_runner").info("It is so.")

    (record,) = made
    assert (record.thread, record.threadName, record.process, record.lineno) == (None, None, None, 0)


def test_a_json_line_is_one_line_with_the_record_s_own_fields() -> None:
    line = JsonLines().format(record("It\n%s", action="broke", missing=None, odd={1}))

    assert "\n" not in line
    document = json.loads(line)
    assert document["message"] == "It\nbroke"
    assert document["action"] == "broke"
    assert document["odd"] == "{1}"
    assert document.keys() == {"time", "level", "logger", "message", "action", "odd"}


def test_an_exception_stands_in_its_json_line() -> None:
    try:
        _ = 1 / 0
    except ZeroDivisionError as error:
        line = JsonLines().format(record(exc_info=(type(error), error, error.__traceback__)))

    assert json.loads(line)["exception"].endswith("ZeroDivisionError: division by zero")


def test_a_terminal_gets_text() -> None:
    terminal = Terminal()
    configure_logging("info", terminal)

    logging.getLogger("alga_runner").info("All is well", extra={"action": "x"})

    assert terminal.getvalue()[8:] == " info     All is well\n"
    assert TextLines().format(record()).endswith(" warning  It broke")


def test_other_libraries_are_heard_from_warnings_on() -> None:
    stream = io.StringIO()
    configure_logging("debug", stream)

    logging.getLogger("elsewhere").info("chatter")
    logging.getLogger("elsewhere").warning("trouble")

    assert [json.loads(line)["message"] for line in stream.getvalue().splitlines()] == ["trouble"]


def test_of_several_workers_each_signs_its_lines() -> None:
    stream, terminal = io.StringIO(), Terminal()
    configure_logging("info", stream, worker=2)
    logging.getLogger("alga_runner").info("It is so.")
    configure_logging("info", terminal, worker=2)
    logging.getLogger("alga_runner").info("It is so.")

    line = json.loads(stream.getvalue())
    assert (line["message"], line["worker"], line["pid"]) == ("It is so.", 2, os.getpid())
    assert terminal.getvalue().endswith("info     [2] It is so.\n")


def test_lines_of_several_workers_are_written_whole() -> None:
    """A pipe takes 4096 bytes in one piece; into a longer line, another process may write."""
    pieces: list[str] = []

    class Pipe(io.StringIO):
        def write(self, text: str) -> int:
            pieces.append(text)
            return len(text)

    telemetry = Telemetry()
    configure_logging("info", Pipe(), worker=1)
    who = ExecutionContext(tenant_id="acme", extension_id="ext", content_hash="")
    for _ in range(40):
        telemetry.guest_line("info", "ä" * 300, who)
    telemetry.guest_line("info", "ä" * 2_000, who)
    telemetry.close()

    assert len([json.loads(line) for piece in pieces for line in piece.splitlines()]) == 41
    assert all(piece.endswith("\n") for piece in pieces)
    assert all(len(piece.encode()) <= 4096 for piece in pieces if piece.count("\n") > 1)
    assert 2 <= len(pieces) < 41
