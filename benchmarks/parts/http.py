"""What the HTTP service can answer on one core, against bare ASGI echoes and against what one would write instead.

All take turns on one core; the load runs on the other one, over kept connections. The service is ``alga-runner serve``
with its defaults, log lines included; the peers are those of ``benchmarks/peers``.
"""

from __future__ import annotations

import json
import signal
import tempfile
from collections.abc import Sequence
from contextlib import ExitStack
from pathlib import Path
from statistics import median

from alga_runner.bundles import FolderBundles
from alga_runner.models import content_hash, pack

from ..contest import Entry
from ..contestants.load import CONNECTIONS
from ..contestants.workload import EXTENSION, alga_guest
from ..figures import Result, Spread
from ..part import Effort, Part, peer_missing
from ..processes import Child
from ..profiles import Profile
from ..rates import rate_figures, rates
from ..running import Server
from . import profiling

BARE_H11 = "http.vs_bare_asgi"
WASMTIME, EXTISM = "http.vs_wasmtime_threads", "http.vs_extism_isolated"
FASTAPI, BARE = "http.vs_fastapi_extism", "http.vs_bare_httptools"
_PEERS = {
    "bare_h11": ("echo", "h11"),
    "bare_httptools": ("echo",),
    "wasmtime_threads": ("wasmtime_threads",),
    "extism_loop": ("extism_service", "loop"),
    "extism_threads": ("extism_service", "threads"),
    "extism_reused": ("extism_service", "reused"),
    "fastapi_extism": ("extism_fastapi",),
}
_ROUNDS = 10
_BATCH_S = 1.0


def run(effort: Effort) -> Sequence[Result]:
    """The rate is answers a second on the clock; CPU of the server for each answer is a figure as well."""
    if effort.core == effort.load_core:
        return one_core(PART.keys)
    if PART.missing:
        return [peer_missing(key, ", ".join(PART.missing)) for key in PART.keys]
    with ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory()))
        content_hash = publish(folder)
        serve = ["alga_runner.cli", "serve", "--dev", "--port", "0", "--bundle-store", str(folder)]
        servers = {
            "ours": stack.enter_context(Server(serve, effort.core)),
            "ours_without_log_lines": stack.enter_context(
                Server([*serve, "--log-level", "warning"], effort.core)
            ),
        }
        for name, (module, *arguments) in _PEERS.items():
            peer = [f"benchmarks.peers.{module}", *arguments]
            servers[name] = stack.enter_context(Server(peer, effort.core))
        load = stack.enter_context(Child("benchmarks.contestants.load:Load", effort.load_core))
        measured = rates(effort, load, servers, content_hash=content_hash)
    ours = measured["ours"].per_s
    figures = rate_figures(measured)
    isolated = measured["extism_loop"].per_s, measured["extism_threads"].per_s
    against = {
        BARE_H11: measured["bare_h11"].per_s,
        WASMTIME: measured["wasmtime_threads"].per_s,
        EXTISM: [max(pair) for pair in zip(*isolated, strict=True)],
        FASTAPI: measured["fastapi_extism"].per_s,
        BARE: measured["bare_httptools"].per_s,
    }
    for theirs in ("bare_h11", "bare_httptools", "wasmtime_threads"):
        cpu_us = measured[theirs].cpu_us
        figures[f"vs_{theirs}_by_cpu_time"] = Spread.of_ratios(cpu_us, measured["ours"].cpu_us)
    figures["vs_extism_reused"] = Spread.of_ratios(ours, measured["extism_reused"].per_s)
    without = measured["ours_without_log_lines"].per_s
    figures["without_log_lines_vs_ours"] = Spread.of_ratios(without, ours)
    figures |= _without_sockets(effort)
    counts = {f"{name}_answers": rate.answers for name, rate in measured.items()}
    return [
        Result.ratio(key, ours, theirs, counts=counts, figures=figures if key == BARE_H11 else {})
        for key, theirs in against.items()
    ]


def one_core(keys: Sequence[str]) -> list[Result]:
    """The results where the load would disturb the server."""
    return [
        Result(key, None, note="this machine has one core, so the load has none of its own") for key in keys
    ]


def _without_sockets(effort: Effort) -> dict[str, Spread | float]:
    """An answer's cost without uvicorn, and then without the service; alone, and in a crowd.

    And what the execution costs when other code, or other data, has been in the caches since the last one.
    """
    with (
        Child("benchmarks.contestants.alga:Execute", effort.core) as runner,
        Child("benchmarks.contestants.service:InProcess", effort.core) as service,
        Child("benchmarks.contestants.disturbed:Disturbed", effort.core) as disturbed,
    ):
        entries = {
            f"{name}_in_process_{crowd}": Entry(child, {"path": "/echo", "in_flight": in_flight})
            for name, child in (("execute", runner), ("service", service))
            for crowd, in_flight in (("alone", 1), (f"among_{CONNECTIONS}", CONNECTIONS))
        }
        for other in ("other_code", "other_data"):
            for executions in (True, False):
                order = {"between": other, "executions": executions}
                entries[f"{other} {executions}"] = Entry(disturbed, order)
        timings = effort.contest(entries, rounds=15, batch_s=0.05)
    figures: dict[str, Spread | float] = {
        f"{name}_cpu_us": timing.cpu for name, timing in timings.items() if "other" not in name
    }
    for other in ("other_code", "other_data"):
        both, alone = timings[f"{other} True"].cpu_us, timings[f"{other} False"].cpu_us
        figures[f"execute_after_{other}_cpu_us"] = Spread.of(a - b for a, b in zip(both, alone, strict=True))
    return figures


def publish(folder: Path) -> str:
    """Put the guest where the service finds it; its content hash."""
    archive = pack(alga_guest().files)
    name = content_hash(archive)
    path = folder / FolderBundles.key("acme", EXTENSION, name)
    path.parent.mkdir(parents=True)
    path.write_bytes(archive)
    return name


def profile(effort: Effort) -> Sequence[Profile]:
    """One request of the service under load, on the main thread, without log lines."""
    seconds = effort.size(_BATCH_S, 0.1)
    with ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory()))
        order = {"content_hash": publish(folder), "path": "/echo", "echo": False, "seconds": seconds}
        serve = ["serve", "--dev", "--port", "0", "--bundle-store", str(folder), "--log-level", "warning"]
        load = stack.enter_context(Child("benchmarks.contestants.load:Load", effort.load_core))
        each_us: list[float] = []
        with Server(["alga_runner.cli", *serve], effort.core) as plain:
            for number in effort.rounds(_ROUNDS):
                before_s = plain.cpu_s
                batch = load.ask(url=plain.url, **order)
                if number:
                    each_us.append((plain.cpu_s - before_s) / batch.done * 1e6)
        file = folder / "samples.json"
        with Server(["benchmarks.servers.sampled", str(file), *serve], effort.core) as server:
            load.ask(url=server.url, **order)
            server.signal(signal.SIGUSR1)
            for _ in range(effort.size(_ROUNDS, 2)):
                load.ask(url=server.url, **order)
        samples = json.loads(file.read_text("utf-8"))
    in_process = profiling.profiled(
        effort,
        "one request of the service in process",
        "service:InProcess",
        "service:InProcessSampled",
        {"path": "/echo", "in_flight": 1},
    )
    return [in_process, Profile.of("one request of the service under load", samples, median(each_us))]


PART = Part(
    "http", (BARE_H11, WASMTIME, EXTISM, FASTAPI, BARE), ("extism", "httptools", "uvloop"), run, profile
)
