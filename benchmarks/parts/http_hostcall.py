"""What the HTTP service can answer on one core when each execution creates a schedule at an Alga server.

The server that is asked answers as cheaply as Python can, on the core of the load.
"""

from __future__ import annotations

import tempfile
from collections.abc import Sequence
from contextlib import ExitStack
from pathlib import Path

from ..figures import Result
from ..part import Effort, Part, peer_missing
from ..processes import Child
from ..rates import rate_figures, rates
from ..running import Server
from .http import one_core, publish

KEY = "http_hostcall.vs_bare_httptools"


def run(effort: Effort) -> Sequence[Result]:
    """The same load as ``http`` has, for a guest that makes one host call."""
    if effort.core == effort.load_core:
        return one_core(PART.keys)
    if PART.missing:
        return [peer_missing(KEY, ", ".join(PART.missing))]
    with ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory()))
        content_hash = publish(folder)
        backend = stack.enter_context(Server(["benchmarks.servers.backend"], effort.load_core))
        serve = ["alga_runner.cli", "serve", "--dev", "--port", "0", "--bundle-store", str(folder)]
        token = {"RUNNER_STORAGE_API_TOKEN": "token"}
        servers = {
            "ours_with_a_call": Server([*serve, "--server-url", backend.url], effort.core, token),
            "bare_httptools": Server(["benchmarks.peers.echo"], effort.core),
        }
        for server in servers.values():
            stack.enter_context(server)
        load = stack.enter_context(Child("benchmarks.contestants.load:Load", effort.load_core))
        measured = rates(effort, load, servers, content_hash=content_hash, path="/create/1")
    return [
        Result.ratio(
            KEY,
            measured["ours_with_a_call"].per_s,
            measured["bare_httptools"].per_s,
            counts={f"{name}_answers": rate.answers for name, rate in measured.items()},
            figures=rate_figures(measured),
        )
    ]


PART = Part("http_hostcall", (KEY,), ("httptools", "uvloop"), run)
