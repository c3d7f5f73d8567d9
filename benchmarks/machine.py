"""The machine and the versions that a result belongs to."""

from __future__ import annotations

import os
import platform
from datetime import UTC, datetime
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

from alga_runner.engine.native.library import choose, default_mode

_DISTRIBUTIONS = (
    "alga-runner",
    "wasmtime",
    "uvicorn",
    "httpx",
    "extism",
    "extism-sys",
    "aiohttp",
    "uvloop",
    "httptools",
)


def installed(distribution: str) -> str | None:
    """The version of ``distribution``, if it is installed."""
    try:
        return version(distribution)
    except PackageNotFoundError:
        return None


def about() -> dict[str, object]:
    """What a reader must know to compare."""
    return {
        "date": datetime.now(UTC).isoformat(timespec="seconds").replace("+00:00", "Z"),
        "cpu": _cpu_model(),
        "cores": len(os.sched_getaffinity(0)),
        "kernel": platform.release().partition("-")[0],
        "architecture": platform.machine(),
        "python": platform.python_version(),
        "engine": "native helper" if choose(default_mode()) is not None else "Python alone",
        "versions": {name: version for name in _DISTRIBUTIONS if (version := installed(name))},
    }


def _cpu_model() -> str:
    for line in Path("/proc/cpuinfo").read_text("utf-8").splitlines():
        if line.startswith("model name"):
            return line.partition(":")[2].strip()
    return platform.processor() or "unknown"
