"""How executions and the process end: clients that leave, signals, and starts that fail."""

from __future__ import annotations

import json
import signal
import socket
import threading
from pathlib import Path
from typing import Any

import httpx
import pytest

from tests.support.patience import PATIENCE_S

pytestmark = pytest.mark.processes


def _complaint(stderr: str) -> str:
    """The error that follows the log lines."""
    return stderr[stderr.index("error[") :]


class Post(threading.Thread):
    """A request under way in a thread of its own; ``join`` it, then look at ``response``."""

    def __init__(self, server, headers: dict[str, str], body: Any) -> None:
        super().__init__(daemon=True)
        self.response: httpx.Response | None = None
        self.error: Exception | None = None
        self._arguments = server.url + "/v1/execute", headers, body
        self.start()

    def run(self) -> None:
        url, headers, body = self._arguments
        try:
            self.response = httpx.post(url, json=body, headers=headers, timeout=PATIENCE_S, trust_env=False)
        except httpx.HTTPError as error:
            self.error = error

    def reply(self) -> dict[str, Any]:
        self.join()
        assert self.response is not None, self.error
        assert self.response.status_code == 200
        reply: dict[str, Any] = self.response.json()
        return reply


@pytest.fixture
def server(serve, fake_alga):
    return serve("--server-url", fake_alga.url, ALGA_RUNNER_MAX_GUESTS="1", ALGA_RUNNER_MAX_QUEUED="0")


class Begun:
    """A request whose handler waits for the Alga server, on the connection ``host_call``."""

    def __init__(self, server, fake_alga, headers: dict[str, str], body: Any) -> None:
        self._server, self._alga, self._headers, self._body = server, fake_alga, headers, body
        self.post = Post(server, headers, body)
        self.host_call = fake_alga.asked()

    def finish(self) -> dict[str, Any]:
        """Let the Alga server answer; the reply."""
        self._alga.answer(self.host_call)
        return self.post.reply()

    def send_another(self) -> httpx.Response:
        """The answer to the same request, sent once more meanwhile."""
        response: httpx.Response = self._server.client.post(
            "/v1/execute", json=self._body, headers=self._headers
        )
        return response


@pytest.fixture
def begun(server, fake_alga, headers, waiting) -> Begun:
    return Begun(server, fake_alga, headers, waiting)


def send_request(server, headers: dict[str, str], body: Any) -> socket.socket:
    """A connection on which a request was sent."""
    content = json.dumps(body).encode()
    fields = headers | {"content-type": "application/json", "content-length": str(len(content))}
    head = "".join(f"{name}: {value}\r\n" for name, value in fields.items())
    connection = socket.create_connection(server.address, timeout=PATIENCE_S)
    connection.sendall(f"POST /v1/execute HTTP/1.1\r\nhost: runner\r\n{head}\r\n".encode() + content)
    return connection


def test_a_client_that_leaves_takes_its_guest_along(server, fake_alga, headers, waiting) -> None:
    client = send_request(server, headers, waiting)
    host_call = fake_alga.asked()
    assert server.metric("alga_runner_executions_in_progress") == 1

    client.close()

    assert host_call.recv(1) == b""  # the guest was killed, so the runner waits for this answer no more
    server.log_line("http_request", status="499")
    assert server.metric("alga_runner_executions_in_progress") == 0
    assert server.metric('alga_runner_executions_total{status="cancelled"}') == 1
    next_one = Post(server, headers, waiting)  # the place of the first one is free, and there is only one
    fake_alga.answer(fake_alga.asked())
    assert next_one.reply()["status"] == 200


def test_a_guest_that_spins_ends_with_its_client(server, headers, publish, request_for) -> None:
    client = send_request(server, headers, request_for(publish("(loop (br 0))")))
    while server.metric("alga_runner_executions_in_progress") == 0:
        pass

    client.close()

    server.log_line("execution", status="cancelled")
    assert server.metric("alga_runner_executions_in_progress") == 0


def test_a_runner_that_is_full_says_so(begun: Begun) -> None:
    response = begun.send_another()

    assert response.status_code == 503
    assert response.json()["error"] == "overloaded"
    assert response.headers["retry-after"] == "1"
    assert begun.finish()["status"] == 200


def test_an_alga_server_that_goes_away_is_an_error_for_the_guest_alone(begun: Begun, fake_alga) -> None:
    begun.host_call.close()
    fake_alga.asked().close()  # a read is asked again once

    assert begun.post.reply()["status"] == 200  # this guest does not mind


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_signal_ends_an_idle_runner_quietly(serve, number: signal.Signals) -> None:
    server = serve()

    server.signal(number)

    assert server.wait() == 0
    assert [json.loads(line)["action"] for line in server.stderr.rest()] == [
        "capacity",
        "program_started",
        "draining",
        "program_stopped",
    ]
    assert server.stdout.rest() == [server.announced]


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_an_execution_under_way_finishes_first(server, begun: Begun, number: signal.Signals) -> None:
    server.signal(number)
    server.log_line("draining")

    assert server.client.get("/readyz").status_code == 503
    assert server.client.get("/healthz").status_code == 200
    late = begun.send_another()
    assert (late.status_code, late.json()["error"]) == (503, "draining")
    assert begun.finish()["status"] == 200
    assert server.wait() == 0


def test_after_the_grace_an_execution_is_cancelled_and_told_so(serve, fake_alga, headers, waiting) -> None:
    server = serve("--server-url", fake_alga.url, ALGA_RUNNER_SHUTDOWN_GRACE_MS="1")
    post = Post(server, headers, waiting)
    host_call = fake_alga.asked()

    server.signal(signal.SIGTERM)

    assert post.reply()["error"].startswith("execute_failed: cancelled: ")
    assert host_call.recv(1) == b""
    assert server.wait() == 0


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_second_signal_ends_it_at_once(server, begun: Begun, number: signal.Signals) -> None:
    server.signal(signal.SIGTERM)
    server.log_line("draining")

    server.signal(number)

    assert server.wait() == 128 + number
    assert begun.host_call.recv(1) == b""
    begun.post.join()
    assert "Traceback" not in "\n".join(server.stderr.rest())


def test_the_port_is_free_again_afterwards(serve) -> None:
    first = serve()
    first.signal(signal.SIGTERM)
    assert first.wait() == 0

    again = serve("--port", str(first.address[1]))

    assert again.address == first.address


def test_it_says_where_it_listens(serve) -> None:
    server = serve()

    assert server.announced == f"alga-runner listening on {server.url}"
    assert server.url.startswith("http://127.0.0.1:")


def test_without_a_token_it_does_not_start(attempt, store: Path) -> None:
    ended = attempt("--port", "0", "--bundle-store", str(store))

    assert ended.returncode == 1
    assert _complaint(ended.stderr).startswith("error[settings_invalid]: ")
    assert "RUNNER_SERVICE_TOKEN" in ended.stderr
    assert ended.stdout == ""


def test_for_development_it_starts_without_a_token(serve, headers, publish, request_for) -> None:
    server = serve("--dev", RUNNER_SERVICE_TOKEN="")
    del headers["x-runner-service-token"]

    response = server.client.post("/v1/execute", json=request_for(publish()), headers=headers)

    assert response.json()["status"] == 200


@pytest.mark.parametrize("host", ["0.0.0.0", "::", "example.test"])
def test_development_stays_on_this_machine(attempt, store: Path, host: str) -> None:
    ended = attempt("--dev", "--host", host, "--port", "0", "--bundle-store", str(store))

    assert ended.returncode == 2
    assert "loopback" in ended.stderr


def test_without_a_bundle_store_it_does_not_start(attempt) -> None:
    ended = attempt("--port", "0", RUNNER_SERVICE_TOKEN="token")

    assert ended.returncode == 1
    assert _complaint(ended.stderr).startswith("error[settings_invalid]: The runner has no bundle store")


def test_with_a_bundle_store_that_is_not_there_it_does_not_start(attempt, tmp_path: Path) -> None:
    ended = attempt("--port", "0", "--bundle-store", str(tmp_path / "gone"), RUNNER_SERVICE_TOKEN="token")

    assert ended.returncode == 1
    assert "gone is not a folder that can be read" in ended.stderr


def test_a_port_that_is_taken_is_told_in_a_sentence(attempt, serve, store: Path) -> None:
    port = str(serve().address[1])

    ended = attempt("--port", port, "--bundle-store", str(store), RUNNER_SERVICE_TOKEN="token")

    assert ended.returncode == 1
    assert _complaint(ended.stderr).startswith(
        f"error[settings_invalid]: The runner cannot listen on 127.0.0.1 port {port}: Address already in use."
    )
    assert "Traceback" not in ended.stderr


def test_a_server_without_a_token_for_it_is_told(attempt, store: Path) -> None:
    ended = attempt(
        "--dev", "--port", "0", "--bundle-store", str(store), "--server-url", "http://127.0.0.1:1"
    )

    assert ended.returncode == 1
    assert "RUNNER_STORAGE_API_TOKEN" in ended.stderr


def test_an_option_wins_over_the_environment(serve, tmp_path: Path) -> None:
    server = serve(BUNDLE_STORE_BASE=str(tmp_path / "gone"))

    assert server.client.get("/readyz").status_code == 200


def test_the_environment_does_where_no_option_is_given(attempt, tmp_path: Path) -> None:
    ended = attempt(RUNNER_SERVICE_TOKEN="token", BUNDLE_STORE_BASE=str(tmp_path / "gone"), PORT="0")

    assert "gone is not a folder" in ended.stderr
