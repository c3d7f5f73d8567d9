"""The command line, called in this process and in one of its own, and small extensions to call it with."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner, Result

from alga_runner.cli import main
from tests.support import bundles
from tests.support.guests import compile_wat
from tests.support.patience import PATIENCE_S

ENDPOINTS = [{"method": "POST", "path": "/go", "handler": "dist/main"}]
SAMPLE = Path(__file__).parents[3] / "sample-extensions" / "scheduler-demo"

Extension = Callable[..., str]
Run = Callable[..., Result]
Process = Callable[..., "subprocess.CompletedProcess[str]"]


@pytest.fixture
def sample() -> str:
    return str(SAMPLE)


@pytest.fixture
def extension(tmp_path: Path, guest_wat: Callable[..., str]) -> Extension:
    """The folder of an extension with ``POST /go``: give the guest's handler, or all of its ``wasm``."""

    def build(
        handler: str | None = None,
        *,
        wasm: bytes | None = None,
        wat: str | None = None,
        manifest: dict[str, Any] | None = None,
        capabilities: Sequence[str] = (),
        **guest: Any,
    ) -> str:
        if handler is not None:
            guest["handler"] = handler
        if wasm is None:
            wasm = compile_wat(wat or guest_wat(**guest))
        document = manifest or bundles.manifest(
            version="1.2.3", capabilities=list(capabilities), api={"endpoints": ENDPOINTS}
        )
        folder = tmp_path / "extension"
        (folder / "dist").mkdir(parents=True, exist_ok=True)
        (folder / "manifest.json").write_text(json.dumps(document))
        (folder / "dist" / "main.wasm").write_bytes(wasm)
        return str(folder)

    return build


@pytest.fixture
def pages(tmp_path: Path) -> str:
    """The folder of an extension of pages alone."""
    folder = tmp_path / "pages"
    (folder / "ui").mkdir(parents=True)
    (folder / "ui/index.html").write_text("<p>")
    ui = {"type": "iframe", "entry": "ui/index.html"}
    (folder / "manifest.json").write_text(
        json.dumps({"name": "com.example.pages", "version": "1.0.0", "ui": ui})
    )
    return str(folder)


@pytest.fixture
def run() -> Run:
    """``alga-runner`` in this process; its stdout and stderr are kept apart."""

    def call(*arguments: str, **options: Any) -> Result:
        return CliRunner().invoke(main, list(arguments), **options)

    return call


def command() -> list[str]:
    return [sys.executable, "-c", "from alga_runner.cli import main; main(prog_name='alga-runner')"]


@pytest.fixture
def process() -> Process:
    """``alga-runner`` in a process of its own."""

    def call(*arguments: str, **options: Any) -> subprocess.CompletedProcess[str]:
        environment = {**os.environ, "PYTHONWARNINGS": "error", **options.pop("env", {})}
        return subprocess.run(
            [*command(), *arguments],
            capture_output=True,
            text=True,
            check=False,
            env=environment,
            timeout=PATIENCE_S,
            **options,
        )

    return call
