"""``invoke`` with secrets, and with servers that the extension may call."""

from __future__ import annotations

import json
import threading
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest

from tests.support.rates import write_rates

GRANTS = ("--grant", "http.fetch", "--grant", "secrets.get")
Invoke = Callable[..., Any]


class Echo(BaseHTTPRequestHandler):
    def do_GET(self) -> None:
        body = self.headers.get("authorization", "none").encode()
        self.send_response(200)
        self.send_header("content-length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_: object) -> None: ...


@pytest.fixture
def port() -> Iterator[int]:
    """Of a server that answers with the header ``authorization``."""
    with ThreadingHTTPServer(("127.0.0.1", 0), Echo) as server:
        threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01}, daemon=True).start()
        yield server.server_port
        server.shutdown()


@pytest.fixture
def rates(tmp_path: Path, port: int) -> str:
    return str(write_rates(tmp_path / "rates", f"http://127.0.0.1:{port}/rates"))


def test_secrets_and_servers_are_given(run: Invoke, rates: str, port: int) -> None:
    result = run(
        *("invoke", rates, "GET", "/rates", *GRANTS, "--json"),
        *("--allow-host", f"http://127.0.0.1:{port}", "--secret", "api_key=planted-s3cret"),
    )

    document = json.loads(result.stdout)
    assert document["response"]["body"] == "planted-s3cret"
    assert document["hostCalls"][0]["reply"] == {"ok": {"value": "(secret)"}}


def test_secrets_are_read_from_a_file_and_an_option_goes_before_it(
    run: Invoke, rates: str, port: int, tmp_path: Path
) -> None:
    file = tmp_path / "secrets.json"
    file.write_text('{"api_key": "of-the-file", "other": "x"}')
    call = ("invoke", rates, "GET", "/rates", *GRANTS, "--json", "--allow-host", f"http://127.0.0.1:{port}")

    bodies = [
        json.loads(run(*call, "--secrets", str(file), *more).stdout)["response"]["body"]
        for more in ((), ("--secret", "api_key=of-the-option"))
    ]

    assert bodies == ["of-the-file", "of-the-option"]


def test_a_server_that_is_not_allowed_is_named_with_the_option_that_helps(
    run: Invoke, rates: str, port: int
) -> None:
    result = run("invoke", rates, "GET", "/rates", *GRANTS)

    assert result.exit_code == 1
    assert f"the rule http://127.0.0.1:{port} in" in result.stdout
    assert "allow it with --allow-host and the rule that the reply names" in result.stderr
    assert "grant it with" not in result.stderr


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (("--allow-host", "https://a.example/path"), "it has an entry 1 that is no rule"),
        (("--secret", "planted-s3cret"), "it is not NAME=VALUE"),
        (("--secrets", "list.json"), "no JSON object of texts"),
        (("--secrets", "none.json"), "cannot be read"),
        (("--secrets", "text.json"), "it is not JSON"),
    ],
)
def test_what_cannot_be_used_is_bad_usage(
    run: Invoke,
    rates: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    *,
    arguments: tuple[str, ...],
    words: str,
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "list.json").write_text('["planted-s3cret"]')
    (tmp_path / "text.json").write_text("planted-s3cret")

    result = run("invoke", rates, "GET", "/rates", *arguments)

    assert result.exit_code == 2
    assert words in result.stderr
    assert "planted-s3cret" not in result.stderr
