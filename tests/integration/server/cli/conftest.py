"""``alga-server`` against a server in this process, and an extension to publish."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import anyio
import httpx
import pytest
from click.testing import CliRunner, Result

from alga_server import ManualClock, Server, ServerSettings
from alga_server.cli import main
from tests.support.server_cli import NAME, TOKEN, Run, document, write_manifest


@pytest.fixture
def app() -> Iterator[Any]:
    server = Server(ServerSettings(admin_token=TOKEN), clock=ManualClock())
    yield server.app
    anyio.run(server.aclose)


@pytest.fixture
def alga(app: Any, monkeypatch: pytest.MonkeyPatch) -> Run:
    """``alga-server`` talking to the server; give ``transport`` for another one's answers."""
    monkeypatch.setenv("ALGA_SERVER_ADMIN_TOKEN", TOKEN)
    monkeypatch.delenv("ALGA_SERVER_URL", raising=False)

    def call(*arguments: str, transport: httpx.AsyncBaseTransport | None = None, **options: Any) -> Result:
        carrier = transport or httpx.ASGITransport(app)
        return CliRunner().invoke(main, list(arguments), obj=carrier, **options)

    return call


@pytest.fixture
def folder(tmp_path: Path) -> Iterator[Path]:
    """An extension on a disk; its manifest can be rewritten with ``write_manifest``."""
    place = tmp_path / "extension"
    (place / "dist").mkdir(parents=True)
    (place / "dist" / "main.wasm").write_bytes(b"\0asm")
    write_manifest(place)
    return place


@pytest.fixture
def published(alga: Run, folder: Path) -> dict[str, Any]:
    answer: dict[str, Any] = document(alga("publish", str(folder), "--json"))
    return answer


@pytest.fixture
def installed(alga: Run, published: dict[str, Any]) -> dict[str, Any]:
    answer: dict[str, Any] = document(
        alga("install", NAME, "--tenant", "acme", "--grant", "scheduler.manage", "--json")
    )
    return answer
