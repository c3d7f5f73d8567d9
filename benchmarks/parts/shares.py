"""What a tenant at its bounds does to another one's calls, on a server and a runner that share a core.

Lists of megabytes without end, guests that sleep in every place, the largest bodies. Quiet and loud take turns in one
run; the callers of each tenant are a process of their own, both on the other core.
"""

from __future__ import annotations

import socket
import tempfile
from collections.abc import Sequence
from contextlib import ExitStack
from pathlib import Path

from ..contestants.shares.gateway import CALLERS
from ..figures import Result
from ..part import Effort, Part
from ..running import Server
from ..seeding import TOKEN
from .attacking import Round, Sides, keys, ratios

_SCHEDULES = 50


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
        common = {"url": server.url, "schedules": effort.size(_SCHEDULES, 1)}
        sides = stack.enter_context(Sides("gateway", effort, **common))
        rounds: dict[str, list[Round]] = {resource: [] for resource in CALLERS}
        for number in range(sides.count):
            for place, resource in enumerate(CALLERS):
                rounds[resource].append(sides.round(resource))
                effort.advance((number + (place + 1) / len(CALLERS)) / sides.count)
    return [result for resource in CALLERS for result in ratios(resource, rounds[resource])]


def _free_port() -> int:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port: int = free.getsockname()[1]
        return port


PART = Part("shares", tuple(key for resource in CALLERS for key in keys(resource)), (), run)
