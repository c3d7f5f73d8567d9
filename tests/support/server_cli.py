"""The server's command line: running it, its results, and an extension's folder."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import httpx
from click.testing import Result

TOKEN = "admin-token-of-the-test"
NAME = "com.example.sync"

Run = Callable[..., Result]


def write_manifest(folder: Path, **changes: Any) -> None:
    manifest = {
        "name": NAME,
        "publisher": "Example",
        "version": "1.0.0",
        "runtime": "wasm-js@1",
        "capabilities": ["cap:scheduler.manage", "cap:storage.kv"],
        "api": {"endpoints": [{"method": "POST", "path": "/sync", "handler": "sync"}]},
        **changes,
    }
    (folder / "manifest.json").write_text(json.dumps(manifest))


def done(result: Result) -> str:
    assert (result.exit_code, result.stderr) == (0, ""), result.output
    return result.stdout


def document(result: Result) -> Any:
    return json.loads(done(result))


def refused(result: Result, code: str) -> str:
    """The stderr of a command that ended with this error."""
    assert result.exit_code == 1, result.output
    assert result.stderr.startswith(f"error[{code}]: "), result.stderr
    assert "Traceback" not in result.output
    return result.stderr


def unasked() -> httpx.MockTransport:
    def fail(_: httpx.Request) -> httpx.Response:
        raise AssertionError("nothing should be sent")

    return httpx.MockTransport(fail)
