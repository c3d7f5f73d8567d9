"""Execute requests are answered 200, with the contract's strings and order (alga-contract 1.2 and 1.3)."""

from __future__ import annotations

import base64
import json
import re
from datetime import UTC, datetime, timedelta
from pathlib import Path

import httpx
import msgpack
import pytest

from alga_runner import ExecuteRequest, Observation, Runner
from alga_runner.bundles import BundleSource
from alga_runner.engine import FunctionType
from alga_runner.errors import (
    BundleDownloadFailed,
    BundleError,
    BundleHashMismatch,
    BundleNotFound,
    EngineUnavailable,
)
from alga_runner.execution.margin import Margin
from alga_runner.service import create_service
from alga_runner.service.replies import failed_reply
from tests.support.component_world import world_component
from tests.support.patience import computes, past_its_deadline, read_all_lines

pytestmark = pytest.mark.anyio

ROOT = Path(__file__).parents[3]
UNKNOWN_HASH = "sha256:" + "0" * 64


def respond(**response: object) -> dict[str, object]:
    """The parts of a guest that gives this response."""
    data = msgpack.packb(response)
    return {"handler": f"(call $respond (i32.const 1024) (i32.const {len(data)}))", "data": data}


def failed(response, status: int) -> str:
    """The error of a reply with ``status`` without anything of a guest."""
    assert response.status_code == 200
    reply = response.json()
    assert reply == {"status": status, "headers": {}, "body_b64": None, "error": reply["error"]}
    return reply["error"]


async def test_a_guest_s_reply_has_all_four_members(execute) -> None:
    response = await execute()

    assert response.status_code == 200
    assert response.json() == {"status": 200, "headers": {}, "body_b64": None, "error": None}


async def test_status_headers_and_body_are_the_guest_s(execute, publish) -> None:
    guest = respond(
        status=418,
        headers=[{"name": "X-Tea", "value": "a"}, {"name": "X-Tea", "value": "b"}],
        body=b"\0\xff",
    )

    response = await execute(publish(**guest))

    assert response.json() == {
        "status": 418,
        "headers": {"X-Tea": "b"},
        "body_b64": base64.b64encode(b"\0\xff").decode(),
        "error": None,
        "header_list": [["X-Tea", "a"], ["X-Tea", "b"]],
    }


async def test_an_empty_body_is_not_no_body(execute, publish) -> None:
    response = await execute(publish(**respond(status=200, body=b"")))

    assert response.json()["body_b64"] == ""


@pytest.mark.parametrize(
    ("method", "status"), [("GET", 204), ("POST", 205), ("GET", 304), ("HEAD", 200), ("HEAD", 500)]
)
async def test_where_http_has_no_body_the_reply_has_none(execute, publish, method: str, status: int) -> None:
    guest = publish(**respond(status=status, body=b""))

    response = await execute(guest, http={"method": method})

    assert (response.json()["status"], response.json()["body_b64"]) == (status, None)


async def test_a_status_that_ends_no_exchange_is_the_guest_s_fault(execute, publish) -> None:
    error = failed(await execute(publish(**respond(status=103))), 500)

    assert error.startswith(
        "execute_failed: invalid_response: The status of the guest's response is 103, not"
    )


async def test_an_answer_is_never_cached(execute) -> None:
    response = await execute()

    assert response.headers["cache-control"] == "no-store"
    assert response.headers["content-type"] == "application/json"


@pytest.mark.parametrize("name", ["x-alga-tenant", "x-alga-extension"])
@pytest.mark.parametrize("value", ["", "  "])
async def test_an_empty_routing_header_is_missing(execute, name: str, value: str) -> None:
    assert failed(await execute(headers={name: value}), 400) == "missing_routing_headers"


@pytest.mark.parametrize("name", ["x-alga-tenant", "x-alga-extension"])
async def test_a_routing_header_that_is_not_there_is_missing(
    client, headers, publish, request_for, name: str
) -> None:
    del headers[name]

    response = await client.post("/v1/execute", json=request_for(publish()), headers=headers)

    assert failed(response, 400) == "missing_routing_headers"


@pytest.mark.parametrize("name", ["x-alga-tenant", "x-alga-extension"])
async def test_headers_that_name_another_than_the_body_are_refused(execute, name: str) -> None:
    assert failed(await execute(headers={name: "globex"}), 400) == "routing_headers_mismatch"


async def test_two_routing_headers_of_which_one_fits_are_refused(
    client, headers, publish, request_for
) -> None:
    twice = [*headers.items(), ("x-alga-tenant", "globex")]

    response = await client.post("/v1/execute", json=request_for(publish()), headers=twice)

    assert failed(response, 400) == "routing_headers_mismatch"


async def test_capabilities_that_do_not_exist_are_named(execute) -> None:
    response = await execute(providers=["cap:scheduler.manage", " CAP:Root ", "admin", ""])

    assert failed(response, 400) == "unknown_capabilities: admin, cap:root"


async def test_unknown_capabilities_are_told_before_the_bundle_is_looked_for(execute) -> None:
    response = await execute(UNKNOWN_HASH, providers=["admin"])

    assert failed(response, 400) == "unknown_capabilities: admin"


async def test_a_bundle_that_is_not_there(execute) -> None:
    error = failed(await execute(UNKNOWN_HASH), 502)

    assert error.startswith("bundle_fetch_failed: bundle_not_found: ")


async def test_a_content_hash_that_is_none(execute) -> None:
    error = failed(await execute("../../etc/passwd"), 502)

    assert error.startswith("bundle_fetch_failed: bundle_not_found: ")


class Failing(BundleSource):
    def __init__(self, error: Exception) -> None:
        self.error = error

    async def fetch(self, tenant_id: str, extension_id: str, content_hash: str):
        raise self.error


@pytest.fixture
def reply_of(settings, headers, request_for):
    """The reply of a service whose bundle store fails with an error."""

    async def ask(error: Exception, **members: object):
        async with Runner(settings, bundles=Failing(error)) as runner:
            transport = httpx.ASGITransport(create_service(runner))
            async with httpx.AsyncClient(transport=transport, base_url="http://runner") as client:
                return await client.post(
                    "/v1/execute", json=request_for(UNKNOWN_HASH, **members), headers=headers
                )

    return ask


async def test_an_archive_with_another_hash_has_the_contract_s_string(reply_of) -> None:
    response = await reply_of(BundleHashMismatch("archive hash mismatch: expected aa, got bb"))

    assert failed(response, 502) == (
        "bundle_fetch_failed: archive hash mismatch: expected aa, got bb (extension ext, handler POST /go)"
    )


@pytest.mark.parametrize("kind", [BundleNotFound, BundleDownloadFailed])
async def test_a_download_that_failed_has_the_contract_s_string_with_the_status(
    reply_of, kind: type[BundleError]
) -> None:
    response = await reply_of(kind("verify_archive_sha256 fetch failed: 404 Not Found"))

    assert failed(response, 502).startswith(
        "bundle_fetch_failed: verify_archive_sha256 fetch failed: 404 Not Found"
    )


async def test_an_engine_that_cannot_be_used(reply_of) -> None:
    error = failed(await reply_of(EngineUnavailable("It is broken.")), 500)

    assert error.startswith("engine_init_failed: engine_unavailable: It is broken. (extension ext, ")


async def test_the_text_of_a_fault_of_the_runner_is_not_in_the_reply(reply_of) -> None:
    error = failed(await reply_of(ZeroDivisionError("hunter2")), 500)

    assert error.startswith("execute_failed: internal: ")
    assert "hunter2" not in error


def sealed(secrets: object) -> str:
    return base64.b64encode(json.dumps(secrets).encode()).decode()


async def test_an_inline_envelope_that_is_valid_changes_nothing(execute) -> None:
    tomorrow = (datetime.now(UTC) + timedelta(days=1)).isoformat()
    envelope = {
        "ciphertext_b64": sealed({"api_key": "hunter2"}),
        "algorithm": "inline/base64",
        "expires_at": tomorrow,
    }

    response = await execute(secret_envelope=envelope)

    assert response.json()["error"] is None


@pytest.mark.parametrize(
    "envelope",
    [
        {"ciphertext_b64": sealed({"api_key": "hunter2"}), "expires_at": "2020-01-01T00:00:00Z"},
        {"ciphertext_b64": "dmF1bHQ=", "algorithm": "vault-transit:v1", "key_path": "k"},
        {"ciphertext_b64": "!"},
    ],
)
async def test_an_envelope_that_cannot_be_opened_changes_nothing_for_a_guest_that_reads_none(
    execute, envelope
) -> None:
    assert (await execute(secret_envelope=envelope)).json()["error"] is None


async def test_a_body_that_is_not_base64(execute) -> None:
    error = failed(await execute(http={"body_b64": "c2VjcmV0!"}), 500)

    assert error.startswith("execute_failed: invalid body base64: ")
    assert "c2VjcmV0" not in error


@pytest.mark.parametrize(
    ("handler", "error"),
    [
        pytest.param("unreachable", "execute_failed: guest_trap: The guest trapped: ", id="trap"),
        pytest.param("", "execute_failed: no_response: ", id="no response"),
        pytest.param(
            "(call $respond (i32.const 65536) (i32.const 9))",
            "execute_failed: out_of_bounds: ",
            id="wild pointer",
        ),
    ],
)
async def test_a_guest_that_ends_without_a_response(execute, publish, handler: str, error: str) -> None:
    assert failed(await execute(publish(handler)), 500).startswith(error)


async def test_a_module_that_cannot_be_loaded(execute, publish) -> None:
    error = failed(await execute(publish(wasm=b"no wasm")), 500)

    assert error.startswith("execute_failed: not_wasm: ")


async def test_a_deadline(execute, publish, runner: Runner) -> None:
    spinning = publish("(call $spin)", module="(func $spin (loop (br 0)))")

    response = await past_its_deadline(runner, execute(spinning, limits={"timeout_ms": 60_000}), computes)

    assert re.match(
        r"execute_failed: deadline_exceeded: The execution did not finish within 60000 ms, less \d+ ms for transport\. "
        "It was computing in spin ",
        failed(response, 500),
    )


@pytest.fixture
def margin_of(execute, runner: Runner, monkeypatch: pytest.MonkeyPatch):
    """How many milliseconds before its time limit an execution ends that is asked for with these limits."""
    margins: list[float] = []
    observe = runner.observe

    async def observed(request: ExecuteRequest, *, margin: Margin, **options: int) -> Observation:
        margins.append(margin.total_s * 1000)
        return await observe(request, **options)

    async def ask(**limits: int | None) -> float:
        await execute(limits=limits)
        return margins[-1]

    monkeypatch.setattr(runner, "observe", observed)
    return ask


@pytest.mark.parametrize(
    ("timeout_ms", "margin_ms"), [(100_000, 2_000), (30_000, 600), (1_000, 50), (100, 10), (0, 0)]
)
async def test_an_execution_ends_before_its_caller_stops_waiting(
    margin_of, timeout_ms: int, margin_ms: int
) -> None:
    # The time that the request took to arrive is added.
    assert await margin_of(timeout_ms=timeout_ms) > margin_ms


@pytest.mark.parametrize("timeout_ms", [None, 10_000_000, 2**64, 10**400])
async def test_a_limit_that_is_not_the_callers_is_used_whole(margin_of, timeout_ms: int | None) -> None:
    assert await margin_of(timeout_ms=timeout_ms) == 0


async def test_a_stack_stands_at_the_end_behind_whose_it_was(
    execute, publish, monkeypatch: pytest.MonkeyPatch
) -> None:
    read_all_lines(monkeypatch)
    crash = publish(wasm=(ROOT / "tests/guests/crash-dwarf4.wasm").read_bytes())

    response = await execute(
        crash,
        http={"body_b64": base64.b64encode(b"do:d").decode()},
        context={"version_id": "v1", "request_id": "request-1"},
    )

    assert failed(response, 500) == (
        "execute_failed: guest_trap: The guest trapped: it divided an integer by zero."
        " (extension ext, version v1, handler POST /go, request id request-1)"
        " Read the stack: it leads to the line that trapped."
        " Stack: total (divide.h:4:16) < alga_handle (crash.c:50:13)"
    )


async def test_an_error_string_is_cut_where_it_would_grow_large() -> None:
    short, long = (
        json.loads(failed_reply(500, "execute_failed: " + "é" * count).body) for count in (1984, 1985)
    )

    assert len(short["error"]) == len(long["error"]) == 2_000
    assert short["error"].endswith("é")
    assert long["error"].endswith("é…")


async def test_members_nobody_knows_are_ignored(execute) -> None:
    response = await execute(endpoint="ui-proxy:/", context={"future": [1]}, http={"url": "https://x"})

    assert response.json()["error"] is None


async def test_a_request_of_the_runner_s_own_models_is_understood(client, headers, publish) -> None:
    request = ExecuteRequest.model_validate(
        {
            "context": {"tenant_id": "acme", "extension_id": "ext", "content_hash": publish()},
            "http": {"method": "GET", "path": "/"},
            "user": {
                "user_id": "u",
                "user_email": "u@example.test",
                "user_name": "U",
                "user_type": "internal",
            },
        }
    )

    response = await client.post(
        "/v1/execute",
        content=request.model_dump_json(),
        headers={"content-type": "application/json; charset=utf-8"} | headers,
    )

    assert response.json()["error"] is None


@pytest.mark.parametrize(
    ("guest", "code", "hint"),
    [
        ({"imports": """(import "env" "nonsense" (func))"""}, "import_unknown", "The nearest one is"),
        (
            {"wasm": world_component("", handler_type=FunctionType())},
            "export_mistyped",
            "Build it for the world runner",
        ),
        (
            {
                "wasm": world_component(
                    "(call $scheduler.forget) (unreachable)", {"scheduler forget": FunctionType()}
                )
            },
            "host_function_missing",
            "`alga-runner inspect` lists",
        ),
    ],
)
async def test_the_reply_for_a_refused_module_has_the_hint(
    execute, publish, guest, code: str, hint: str
) -> None:
    error = failed(await execute(publish(**guest)), 500)

    assert error.startswith(f"execute_failed: {code}: ")
    assert hint in error
