"""What a tenant at its bounds does to another one's calls, on a server and a runner that share a core.

Lists of megabytes without end, guests that sleep in every place, the largest bodies; and schedules whose guests sleep,
where a call is a run that is due. Quiet and loud take turns in one run; the callers of each tenant are a process of
their own, both on the other core.
"""

from __future__ import annotations

import socket
import tempfile
from collections.abc import Sequence
from contextlib import ExitStack
from pathlib import Path
from typing import Any

from ..contestants.shares.gateway import CALLERS
from ..figures import Result
from ..part import Effort, Part
from ..running import Server
from ..seeding import TOKEN
from .attacking import Round, Sides, keys, ratios, rounds_of

_SCHEDULES = 50
_RUNS = "runs"
_RUNS_SECONDS = 1.0
_RESOURCES = (*CALLERS, _RUNS)
_MISSED = f"shares.{_RUNS}_missed"


def run(effort: Effort) -> Sequence[Result]:
    """All resources share a server and a runner."""
    with ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory()))
        (folder / "bundles").mkdir(mode=0o700)
        runner_port = _free_port()
        where = [
            f"sqlite:///{folder / 'alga.db'}",
            f"http://127.0.0.1:{runner_port}",
            str(folder / "bundles"),
        ]
        server = stack.enter_context(Server(["benchmarks.servers.alga", *where], effort.core))
        serve = ["alga_runner.cli", "serve", "--port", str(runner_port), "--server-url", server.url]
        variables = {
            "RUNNER_STORAGE_API_TOKEN": TOKEN,
            "RUNNER_SERVICE_TOKEN": TOKEN,
            "ALGA_RUNNER_SERVER_DIALECT": "prd",
        }
        stack.enter_context(Server([*serve, "--bundle-store", where[-1]], effort.core, variables))
        common: dict[str, Any] = {"url": server.url, "schedules": effort.size(_SCHEDULES, 1)}
        gateway = stack.enter_context(Sides("gateway", effort, **common))
        runs = stack.enter_context(
            Sides("scheduling", effort, seconds=_RUNS_SECONDS, database=where[0], **common)
        )
        count = rounds_of(effort)
        rounds: dict[str, list[Round]] = {resource: [] for resource in _RESOURCES}
        for number in range(count):
            for place, resource in enumerate(_RESOURCES):
                rounds[resource].append((runs if resource == _RUNS else gateway).round(resource))
                effort.advance((number + (place + 1) / len(_RESOURCES)) / count)
    results = [result for resource in _RESOURCES for result in ratios(resource, rounds[resource])]
    return [*results, _missed(rounds[_RUNS])]


def _missed(rounds: list[Round]) -> Result:
    """How many of the victim's times that were due during an attack did not run."""
    loud = [calls for _, calls, _ in rounds]
    missed = sum(calls.counts["missed"] for calls in loud)
    return Result(_MISSED, missed, counts={"runs": int(missed) + sum(calls.done for calls in loud)})


def _free_port() -> int:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port: int = free.getsockname()[1]
        return port


PART = Part("shares", (*(key for resource in _RESOURCES for key in keys(resource)), _MISSED), (), run)
