"""Requests to ``alga-runner serve`` over a socket: what goes right, and every way a request can be bad."""

from __future__ import annotations

import io
import socket
import tarfile
from pathlib import Path
from time import sleep
from typing import Any

import httpx
import pytest
import zstandard

from alga_runner.models import content_hash
from tests.support.patience import PATIENCE_S

WASM = bytes.fromhex("0061736d01000000")


@pytest.fixture(scope="module")
def store(tmp_path_factory) -> Path:
    return tmp_path_factory.mktemp("deployment") / "bundles"


@pytest.fixture(scope="module")
def server(launch, store: Path):
    """One server for all tests: requests of one must not change the results of another."""
    store.mkdir()
    with launch(store) as running:
        yield running


@pytest.fixture
def post(server, headers):
    """``POST /v1/execute``."""

    def send(body: Any, **more: str) -> httpx.Response:
        return server.client.post("/v1/execute", json=body, headers=headers | more)

    return send


def executions(server) -> float:
    """How many executions succeeded."""
    return float(server.metric('alga_runner_executions_total{status="success"}'))


def error(response: httpx.Response, status: int) -> str:
    """The error of a reply that has ``status`` and nothing of a guest."""
    assert response.status_code == 200
    reply = response.json()
    assert reply == {"status": status, "headers": {}, "body_b64": None, "error": reply["error"]}
    return str(reply["error"])


def test_a_published_extension_is_executed(post, publish, request_for) -> None:
    response = post(request_for(publish()))

    assert response.status_code == 200
    assert response.json() == {"status": 200, "headers": {}, "body_b64": None, "error": None}
    assert response.headers["cache-control"] == "no-store"
    assert "server" not in response.headers


def test_a_large_body_goes_through(post, publish, request_for) -> None:
    response = post(request_for(publish(), http={"body_b64": "QUFB" * (3 * 1024 * 1024)}))

    assert response.json()["error"] is None


@pytest.mark.parametrize("given", ["", "wrong"])
def test_a_missing_or_wrong_token(post, server, publish, request_for, given: str) -> None:
    before = executions(server)

    response = post(request_for(publish()), **{"x-runner-service-token": given})

    assert executions(server) == before
    assert response.status_code == 401
    assert response.json()["error"] == "unauthorized"


def test_a_wrong_token_is_told_even_where_a_large_body_was_sent(post, request_for) -> None:
    response = post(
        request_for("aa", http={"body_b64": "QUFB" * 1024 * 1024}), **{"x-runner-service-token": "wrong"}
    )

    assert response.status_code == 401


@pytest.mark.parametrize("name", ["x-alga-tenant", "x-alga-extension"])
def test_a_missing_routing_header(server, headers, publish, request_for, name: str) -> None:
    del headers[name]

    response = server.client.post("/v1/execute", json=request_for(publish()), headers=headers)

    assert error(response, 400) == "missing_routing_headers"


@pytest.mark.parametrize("name", ["x-alga-tenant", "x-alga-extension"])
def test_a_mismatched_tenant_or_extension(post, publish, request_for, name: str) -> None:
    assert error(post(request_for(publish()), **{name: "globex"}), 400) == "routing_headers_mismatch"


def test_another_tenant_s_bundle_is_not_there(post, publish, request_for) -> None:
    content_hash = publish(tenant="acme")
    assert post(request_for(content_hash)).json()["status"] == 200

    response = post(request_for(content_hash, tenant="globex"), **{"x-alga-tenant": "globex"})

    assert error(response, 502).startswith("bundle_fetch_failed: bundle_not_found: ")


def test_malformed_json(server, headers) -> None:
    response = server.client.post(
        "/v1/execute", content=b'{"context": ', headers=headers | {"content-type": "application/json"}
    )

    assert response.status_code == 400
    assert response.json()["error"] == "invalid_json"


def test_no_json(server, headers) -> None:
    response = server.client.post("/v1/execute", content=b"a=b", headers=headers)

    assert response.status_code == 415


def test_wrong_types(post, request_for) -> None:
    response = post(request_for("aa", limits={"timeout_ms": "soon"}, http={"path": None}))

    assert response.status_code == 422
    assert response.json()["fields"] == {
        "http.path": "must be a string",
        "limits.timeout_ms": "must be a whole number",
    }


def test_a_body_whose_length_is_too_large(server, headers) -> None:
    response = server.client.post(
        "/v1/execute",
        content=b" " * (24 * 1024 * 1024 + 1),
        headers=headers | {"content-type": "application/json"},
    )

    assert response.status_code == 413
    assert response.json()["error"] == "body_too_large"


def test_a_body_in_pieces_that_grows_too_large(server, headers) -> None:
    response = server.client.post(
        "/v1/execute",
        content=(b" " * 1024 * 1024 for _ in range(25)),
        headers=headers | {"content-type": "application/json"},
    )

    assert response.status_code == 413


def test_a_body_that_is_only_announced(server, headers) -> None:
    """The client asks for leave before it sends, and is refused without having sent anything."""
    fields = headers | {
        "content-length": "999999999",
        "expect": "100-continue",
        "content-type": "application/json",
    }
    head = "".join(f"{name}: {value}\r\n" for name, value in fields.items())
    with socket.create_connection(server.address, timeout=PATIENCE_S) as connection:
        connection.sendall(f"POST /v1/execute HTTP/1.1\r\nhost: runner\r\n{head}\r\n".encode())

        assert connection.recv(65536).startswith(b"HTTP/1.1 413 ")


def test_an_unknown_capability(post, publish, request_for) -> None:
    response = post(request_for(publish(), providers=["cap:root", "cap:log.emit"]))

    assert error(response, 400) == "unknown_capabilities: cap:root"


def test_a_bundle_that_is_missing(post, request_for) -> None:
    response = post(request_for("sha256:" + "0" * 64))

    assert error(response, 502) == (
        "bundle_fetch_failed: bundle_not_found: There is no bundle "
        f"tenants/acme/extensions/ext/sha256/{'0' * 64}/bundle.tar.zst in the store."
        " (extension ext, handler POST /go)"
    )


def test_a_bundle_that_was_replaced(post, place, request_for) -> None:
    expected = "0" * 64
    place(b"something else", under="sha256:" + expected)
    got = content_hash(b"something else").removeprefix("sha256:")

    response = post(request_for("sha256:" + expected))

    assert error(response, 502) == (
        f"bundle_fetch_failed: archive hash mismatch: expected {expected}, got {got}"
        " (extension ext, handler POST /go)"
    )


def archive(entries: dict[str, bytes], links: dict[str, str] | None = None) -> bytes:
    """A tar in zstd with any names at all."""
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w") as tar:
        for name, target in (links or {}).items():
            link = tarfile.TarInfo(name)
            link.type, link.linkname = tarfile.SYMTYPE, target
            tar.addfile(link)
        for name, data in entries.items():
            entry = tarfile.TarInfo(name)
            entry.size = len(data)
            tar.addfile(entry, io.BytesIO(data))
    return zstandard.ZstdCompressor().compress(buffer.getvalue())


@pytest.mark.parametrize(
    ("entries", "links"),
    [
        pytest.param({"../../escaped": b"x"}, {}, id="climbing"),
        pytest.param({"dist/../../escaped": b"x"}, {}, id="climbing in the middle"),
        pytest.param({"/escaped": b"x"}, {}, id="absolute"),
        pytest.param({"ui/escaped": b"x"}, {"ui": "../.."}, id="through a link"),
    ],
)
def test_a_bundle_that_tries_to_leave_its_place(post, place, request_for, entries: dict, links: dict) -> None:
    evil = archive({"manifest.json": b"{}", "dist/main.wasm": WASM, **entries}, links)

    response = post(request_for(place(evil)))

    assert error(response, 502).startswith("bundle_fetch_failed: bundle_invalid: ")


def test_an_extension_of_pages_alone_has_no_handler(post, place, request_for) -> None:
    pages = archive({"manifest.json": b"{}", "ui/index.html": b"<p>"}, {})

    response = post(request_for(place(pages)))

    assert error(response, 502).startswith("bundle_fetch_failed: no_handler: ")


def test_a_tenant_that_tries_to_leave_the_store_is_no_tenant(post, publish, request_for) -> None:
    body = request_for(publish(), context={"tenant_id": "../acme"})

    response = post(body, **{"x-alga-tenant": "../acme"})

    assert response.status_code == 422
    assert "tenant_id" in response.text


def test_an_extension_that_tries_to_leave_the_store_has_no_bundle(post, publish, request_for) -> None:
    body = request_for(publish(), context={"extension_id": "../acme"})

    response = post(body, **{"x-alga-extension": "../acme"})

    assert error(response, 502).startswith("bundle_fetch_failed: bundle_not_found: ")


def test_a_body_that_is_not_base64(post, publish, request_for) -> None:
    response = post(request_for(publish(), http={"body_b64": "not base64"}))

    assert error(response, 500).startswith("execute_failed: invalid body base64: ")


def test_a_guest_that_traps(post, publish, request_for) -> None:
    assert error(post(request_for(publish("unreachable"))), 500).startswith("execute_failed: guest_trap: ")


def test_a_guest_that_takes_too_long(post, publish, request_for) -> None:
    response = post(request_for(publish("(loop (br 0))"), limits={"timeout_ms": 50}))

    assert error(response, 500).startswith("execute_failed: deadline_exceeded: ")


def test_a_key_of_one_tenant_says_nothing_to_another(post, server, publish, request_for) -> None:
    key = {"x-idempotency-key": "key-1"}
    ours, theirs = publish(tenant="acme"), publish("unreachable", tenant="globex")
    before = executions(server)

    assert post(request_for(ours), **key).json()["status"] == 200
    assert post(request_for(ours), **key).headers["idempotent-replayed"] == "true"
    other = post(request_for(theirs, tenant="globex"), **key, **{"x-alga-tenant": "globex"})

    assert error(other, 500).startswith("execute_failed: guest_trap: ")
    assert executions(server) == before + 1


def test_a_key_used_for_another_request(post, publish, request_for) -> None:
    key = {"x-idempotency-key": "key-2"}
    content_hash = publish()
    post(request_for(content_hash), **key)

    other = post(request_for(content_hash, http={"path": "/other"}), **key)

    assert (other.json()["status"], other.json()["error"]) == (409, "idempotency_key_reused")


def test_something_that_is_not_http(server) -> None:
    with socket.create_connection(server.address, timeout=PATIENCE_S) as connection:
        connection.sendall(b"\x16\x03\x01 hello\r\n\r\n")

        assert connection.recv(65536).startswith(b"HTTP/1.1 400 ")

    assert server.client.get("/healthz").status_code == 200


def test_probes_and_metrics(server) -> None:
    assert server.client.get("/healthz").json() == {
        "status": "ok",
        "cache_writable": True,
        "bundle_store": "ok",
        "ext_cache_max_bytes": None,
    }
    assert server.client.get("/readyz").json()["status"] == "ready"
    assert "alga_runner_http_requests_total" in server.client.get("/metrics").text


def test_a_store_that_goes_away_makes_it_unready(server, store: Path) -> None:
    store.rename(store.with_name("gone"))

    while (unready := server.client.get("/readyz")).status_code == 200:
        sleep(0.1)  # the result of an earlier probe is used for a second
    alive = server.client.get("/healthz")

    store.with_name("gone").rename(store)
    assert unready.status_code == 503
    assert alive.status_code == 200


def test_no_bundle_left_its_place(server, store: Path) -> None:
    """After all that was tried above; the runner unpacks into memory."""
    assert server.client.get("/healthz").status_code == 200
    assert {path.name for path in store.rglob("*") if path.is_file()} <= {"bundle.tar.zst"}
    assert [path.name for path in store.parent.iterdir()] == ["bundles"]


def test_log_lines_are_json_and_say_who_asked(post, server, publish, request_for) -> None:
    post(request_for(publish(), context={"request_id": "request-1"}))

    line = server.log_line("execution", request_id="request-1")
    assert (line["tenant_id"], line["extension_id"], line["status"]) == ("acme", "ext", "ok")
