"""docs/library.md: its programs run, its FastAPI application lets go of clients that leave, its commands install."""

from __future__ import annotations

import asyncio
import json
import os
import re
import socket
import subprocess
import sys
import types
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path

import anyio
import httpx
import pytest
import uvicorn

from alga_runner import Runner
from alga_runner.execution.calls import CallOptions
from tests.support.guests import compile_wat
from tests.support.patience import PATIENCE_S

ROOT = Path(__file__).parents[2]
DOCUMENT = (ROOT / "docs" / "library.md").read_text()
PYTHON = re.findall(r"^```python\n(.*?)^```", DOCUMENT, re.MULTILINE | re.DOTALL)
PROGRAMS = [code for code in PYTHON if "(main" in code]
(APPLICATION,) = [code for code in PYTHON if "FastAPI" in code]

Extension = Callable[[str], Path]


@pytest.mark.parametrize(
    ("program", "printed"),
    list(zip(PROGRAMS, [r"200 application/json b'\{.*\}'\n", r"200\n", r"48 refused; 200\n"], strict=True)),
    ids=["a call", "another thread", "one tenant and many"],
)
def test_a_program_prints_what_the_handler_answers(
    program: str, printed: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(ROOT)

    exec(compile(program, "docs/library.md", "exec", dont_inherit=True), {"__name__": "__main__"})

    assert re.fullmatch(printed, capsys.readouterr().out)


def test_every_argument_of_a_call_is_in_the_table() -> None:
    rows = "\n".join(line for line in DOCUMENT.splitlines() if line.startswith("| `"))

    assert {name for name in CallOptions.__annotations__ if f"`{name}`" not in rows} == set()


@pytest.fixture
def extension(tmp_path: Path, guest_wat: Callable[..., str]) -> Extension:
    """The folder of an extension with this handler."""

    def build(handler: str) -> Path:
        (tmp_path / "dist").mkdir()
        (tmp_path / "dist/main.wasm").write_bytes(compile_wat(guest_wat(handler)))
        manifest = {"name": "com.example.web", "version": "1.0.0", "runtime": "wasm@1"}
        (tmp_path / "manifest.json").write_text(json.dumps(manifest))
        return tmp_path

    return build


@asynccontextmanager
async def served(folder: Path) -> AsyncIterator[tuple[tuple[str, int], Runner]]:
    """The document's application for the extension in ``folder``, behind a socket; its address and its runner."""
    module = types.ModuleType("documented_application")
    code = APPLICATION.replace("path/to/extension", str(folder))
    exec(compile(code, "docs/library.md", "exec", dont_inherit=True), module.__dict__)
    with socket.create_server(("127.0.0.1", 0)) as listener:
        server = uvicorn.Server(uvicorn.Config(module.app, log_level="error", lifespan="on"))
        serving = asyncio.create_task(server.serve(sockets=[listener]))
        try:
            while not server.started:
                assert not serving.done()
                await asyncio.sleep(0)
            yield listener.getsockname(), module.app.state.runner
        finally:
            server.should_exit = True
            await serving


RESPONDS = "(call $respond (i32.const 0) (global.get $ok))"
SPINS = "(loop (br 0))"


@pytest.mark.anyio
async def test_the_application_answers_with_the_handler_s_response(extension: Extension) -> None:
    async with (
        served(extension(RESPONDS)) as ((host, port), _),
        httpx.AsyncClient(base_url=f"http://{host}:{port}", timeout=PATIENCE_S, trust_env=False) as client,
    ):
        assert (await client.post("/extension/items", content=b"{}")).status_code == 200


@pytest.mark.anyio
async def test_the_application_names_the_code_of_a_failure(extension: Extension) -> None:
    async with (
        served(extension("unreachable")) as ((host, port), _),
        httpx.AsyncClient(base_url=f"http://{host}:{port}", timeout=PATIENCE_S, trust_env=False) as client,
    ):
        answer = await client.get("/extension/items")

    assert (answer.status_code, answer.json()) == (502, {"error": "guest_trap"})


@pytest.mark.anyio
async def test_a_client_that_leaves_ends_its_execution(extension: Extension) -> None:
    async with served(extension(SPINS)) as (address, runner):
        _, writer = await asyncio.open_connection(*address)
        writer.write(b"GET /extension/items HTTP/1.1\r\nhost: x\r\n\r\n")
        with anyio.fail_after(PATIENCE_S):
            while not runner.admission.executing:
                await anyio.lowlevel.checkpoint()
            writer.close()
            while runner.admission.executing:
                await anyio.lowlevel.checkpoint()
        ended = runner.telemetry.render().decode()
        assert 'alga_runner_executions_total{status="cancelled"} 1.0' in ended


def commands() -> list[str]:
    section = DOCUMENT.partition("## Install it")[2].partition("\n## ")[0]
    return re.findall(r"^\$ (.*)$", section, re.MULTILINE)


@pytest.mark.processes
def test_the_commands_install_the_package_from_a_checkout_and_from_a_wheel(tmp_path: Path) -> None:
    """As printed, with variables that make pip install into a folder and take nothing from an index."""
    (tmp_path / "path" / "to").mkdir(parents=True)
    (tmp_path / "path/to/alga-runner").symlink_to(ROOT)
    offline = {"PIP_NO_INDEX": "1", "PIP_NO_DEPS": "1", "PIP_NO_BUILD_ISOLATION": "0"}
    tools = f"{Path(sys.executable).parent}:{os.environ['PATH']}"
    for number, lines in enumerate([commands()[:1], commands()[1:]]):
        target = tmp_path / f"target-{number}"
        environment = os.environ | offline | {"PIP_TARGET": str(target), "PATH": tools}
        for line in lines:
            subprocess.run(["bash", "-c", line], cwd=tmp_path, env=environment, check=True)

        assert (target / "alga_runner" / "runner.py").is_file()
