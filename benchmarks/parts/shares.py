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
from ..contestants.shares.sides import QUIET
from ..figures import Result, Spread
from ..part import Effort, Part
from ..processes import Batch, Child
from ..running import Server
from ..seeding import TOKEN

_SHARES = ("p50", "p99")
_ROUNDS = 5
_SECONDS = 3.0
_SCHEDULES = 50
_BEGINNING_S = 1.0
"""How long an attack lasts before the other one's calls count."""


Round = tuple[Batch, Batch, Batch]
"""The victim's calls without the attack and with it, and what the attack came to."""


def run(effort: Effort) -> Sequence[Result]:
    """The ratios are of neighbouring rounds, one with the attack and one without."""
    rounds, seconds, schedules = effort.size((_ROUNDS, _SECONDS, _SCHEDULES), (1, 0.1, 1))
    batches: dict[str, list[Round]] = {kind: [] for kind in CALLERS}
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
        attacker, victim = (
            stack.enter_context(Child(f"benchmarks.contestants.shares.gateway:{side}", effort.load_core))
            for side in ("Attacker", "Victim")
        )
        common = {"url": server.url, "schedules": schedules}
        for number in range(rounds):
            for place, kind in enumerate(CALLERS):
                loud = []
                for attack in (QUIET, kind):
                    attacker.order(attack=attack, seconds=_BEGINNING_S + seconds, **common)
                    calls = victim.ask(resource=kind, after=_BEGINNING_S, seconds=seconds, **common)
                    loud.append((calls, attacker.answer()))
                batches[kind].append((loud[0][0], *loud[1]))
                effort.advance((number + (place + 1) / len(CALLERS)) / rounds)
    return [_result(kind, share, rounds_of) for kind, rounds_of in batches.items() for share in _SHARES]


def _result(kind: str, share: str, rounds: list[Round]) -> Result:
    quiet, loud = ([calls[side].counts[f"{share}_ms"] for calls in rounds] for side in (0, 1))
    counts = {"calls": sum(calls[0].done + calls[1].done for calls in rounds)}
    figures: dict[str, Spread | float] = {
        f"quiet_{share}_ms": Spread.of(quiet),
        f"loud_{share}_ms": Spread.of(loud),
        "attacks_answered": sum(attack.counts["answered"] for _, _, attack in rounds),
        "attacks_refused": sum(attack.counts["refused"] for _, _, attack in rounds),
    }
    return Result.ratio(f"shares.{kind}_{share}_ratio", loud, quiet, counts=counts, figures=figures)


def _free_port() -> int:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port: int = free.getsockname()[1]
        return port


PART = Part("shares", tuple(f"shares.{kind}_{share}_ratio" for kind in CALLERS for share in _SHARES), (), run)
