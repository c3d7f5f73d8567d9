"""What a tenant at its bounds does to another one's calls, on a server and a runner that share a core.

Lists of megabytes without end, guests that sleep in every place, the largest bodies. Quiet and loud take turns in one
run; the callers of both tenants are on the other core.
"""

from __future__ import annotations

import socket
import tempfile
from collections.abc import Sequence
from contextlib import ExitStack
from pathlib import Path

from ..contestants.shares import CALLERS, QUIET
from ..figures import Result, Spread
from ..part import Effort, Part
from ..processes import Batch, Child
from ..running import Server
from ..seeding import TOKEN

_SHARES = ("p50", "p99")
_ROUNDS = 5
_CALLS = 150
_SCHEDULES = 50


def run(effort: Effort) -> Sequence[Result]:
    """The ratios are of neighbouring rounds, one with the attack and one without."""
    rounds, calls, schedules = effort.size((_ROUNDS, _CALLS, _SCHEDULES), (1, 5, 1))
    batches: dict[str, list[tuple[Batch, Batch]]] = {kind: [] for kind in CALLERS}
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
        load = stack.enter_context(Child("benchmarks.contestants.shares:Shares", effort.load_core))
        for number in range(rounds):
            for place, kind in enumerate(CALLERS):
                pair = [
                    load.ask(server=server.url, attack=attack, calls=calls, schedules=schedules)
                    for attack in (QUIET, kind)
                ]
                batches[kind].append((pair[0], pair[1]))
                effort.advance((number + (place + 1) / len(CALLERS)) / rounds)
    return [_result(kind, share, pairs) for kind, pairs in batches.items() for share in _SHARES]


def _result(kind: str, share: str, pairs: list[tuple[Batch, Batch]]) -> Result:
    quiet, loud = ([pair[side].counts[f"{share}_ms"] for pair in pairs] for side in (0, 1))
    counts = {"calls": sum(pair[side].done for pair in pairs for side in (0, 1))}
    figures: dict[str, Spread | float] = {
        f"quiet_{share}_ms": Spread.of(quiet),
        f"loud_{share}_ms": Spread.of(loud),
        "attacks_answered": sum(pair[1].counts["answered"] for pair in pairs),
        "attacks_refused": sum(pair[1].counts["refused"] for pair in pairs),
    }
    return Result.ratio(f"shares.{kind}_{share}_ratio", loud, quiet, counts=counts, figures=figures)


def _free_port() -> int:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port: int = free.getsockname()[1]
        return port


PART = Part("shares", tuple(f"shares.{kind}_{share}_ratio" for kind in CALLERS for share in _SHARES), (), run)
