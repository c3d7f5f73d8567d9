"""A test's secrets and the servers elsewhere: what an extension gets, and that nothing else is reached."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import httpx
import pytest

from alga_runner.testing import Alga
from tests.support.rates import rates

GRANTS = ["cap:http.fetch", "cap:secrets.get"]
API = "https://api.example.com"


class Local(BaseHTTPRequestHandler):
    """A server on this machine that answers with the host that it was asked for."""

    def do_GET(self) -> None:
        body = f"{self.headers['host']}{self.path}".encode()
        self.send_response(200)
        self.send_header("content-length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_: object) -> None: ...


@pytest.fixture
def local() -> Iterator[str]:
    with ThreadingHTTPServer(("127.0.0.1", 0), Local) as server:
        threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01}, daemon=True).start()
        yield f"http://127.0.0.1:{server.server_port}"
        server.shutdown()


def test_an_extension_gets_the_scripted_answer_and_sends_its_secret(alga: Alga) -> None:
    ext = alga.install(rates(), grant=GRANTS, secrets={"api_key": "of-one-install"})
    alga.egress.serve(API, httpx.Response(201, json={"EUR": 1.08}))

    response = ext.call("GET", "/rates")

    assert (response.status, response.json()) == (201, {"EUR": 1.08})
    [request] = alga.egress.requests
    assert (request.method, str(request.url)) == ("GET", f"{API}/rates")
    assert request.headers["authorization"] == "of-one-install"


def test_a_function_answers_each_request(alga: Alga) -> None:
    ext = alga.install(rates(), grant=GRANTS)
    alga.egress.serve(API, lambda request: httpx.Response(404, text=request.url.path))

    assert [ext.call("GET", "/rates").body for _ in range(2)] == [b"/rates"] * 2


def test_a_real_server_on_this_machine_answers_in_place_of_another(alga: Alga, local: str) -> None:
    ext = alga.install(rates(), grant=GRANTS)
    alga.egress.serve(API, local)

    assert ext.call("GET", "/rates").body == b"api.example.com/rates"


def test_a_real_server_can_be_allowed_with_its_address(alga: Alga, local: str) -> None:
    ext = alga.install(rates(f"{local}/rates"), grant=GRANTS)
    alga.egress.allow(local)
    assert ext.call("GET", "/rates").status == 500

    alga.egress.allow(local, addresses="127.0.0.1")
    assert ext.call("GET", "/rates").status == 200


def test_the_newest_answer_counts(alga: Alga) -> None:
    ext = alga.install(rates(), grant=GRANTS)
    for status in (200, 503):
        alga.egress.serve(API, httpx.Response(status))

    assert ext.call("GET", "/rates").status == 503


def test_no_server_is_reached_that_the_test_does_not_name(alga: Alga) -> None:
    ext = alga.install(rates(), grant=GRANTS)

    assert ext.call("GET", "/rates").status == 500
    assert (alga.host_calls[-1].operation, alga.host_calls[-1].status) == ("http.fetch", "denied")
    assert alga.egress.requests == []


def test_what_one_test_serves_and_gives_is_gone_in_the_next(alga: Alga) -> None:
    assert alga.egress.client.rules == ()
    assert alga.secrets == {}


def test_secrets_are_of_every_install_or_of_one(alga: Alga) -> None:
    alga.secrets["api_key"] = "of-all"
    alga.egress.serve(API, httpx.Response(200))
    first = alga.install(rates(), grant=GRANTS)
    second = alga.install(rates(), tenant="globex", grant=GRANTS, secrets={"api_key": "of-globex"})

    for ext in (first, second):
        ext.call("GET", "/rates")

    assert [request.headers["authorization"] for request in alga.egress.requests] == ["of-all", "of-globex"]


def test_a_secret_that_was_read_is_hidden_in_records(alga: Alga) -> None:
    alga.secrets["api_key"] = "planted-s3cret"
    alga.egress.serve(API, httpx.Response(200))
    ext = alga.install(rates(), grant=GRANTS)

    ext.call("GET", "/rates")

    assert alga.host_calls[0].reply == {"ok": {"value": "(secret)"}}
    assert "planted-s3cret" not in repr(alga.host_calls)


@pytest.mark.parametrize("rule", ["https://a.example/path", "ftp://a.example"])
def test_a_rule_that_is_none_is_refused(alga: Alga, rule: str) -> None:
    with pytest.raises(ValueError, match="that is no rule"):
        alga.egress.serve(rule, httpx.Response(200))
