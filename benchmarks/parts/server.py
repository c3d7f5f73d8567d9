"""What the Alga server takes: each operation by itself, calls a second over HTTP, and 10,000 schedules due together."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import ExitStack
from time import perf_counter

import anyio

from ..contestants.firing import LAG
from ..contestants.operating import OPERATIONS
from ..databases import empty_database
from ..figures import Result, Spread
from ..part import Effort, Part
from ..processes import Child
from ..running import Server
from ..seeding import fired, seed

_CURVES = ((1, 100), (10, 100), (50, 100), (10, 1), (10, 1000))
"""Schedules of each install, and installs."""

_PROCESSES = 4
_INSTALLS, _SCHEDULES = 1_000, 10


def run(effort: Effort) -> Sequence[Result]:
    """Costs are on the clock, of one call after the other; rates have 32 calls in flight."""
    return measured(effort, "server", None)


def measured(effort: Effort, group: str, postgres: str | None) -> Sequence[Result]:
    """The same on databases of the PostgreSQL server at this URL, or on SQLite; ``group`` begins the keys."""
    kind = "SQLite" if postgres is None else "PostgreSQL"
    costs = _costs(effort, postgres)
    effort.advance(0.3)
    rates = {name: Spread.of(rates) for name, rates in _rates(effort, postgres).items()}
    effort.advance(0.6)
    return [
        Result(
            f"{group}.create_rps",
            rates["create"].median,
            rates["create"],
            {"calls": rates["create"].samples * _calls(effort)},
            costs,
            note=f"schedules created a second over HTTP, on {kind}",
        ),
        Result(
            f"{group}.list_rps",
            rates["list"].median,
            rates["list"],
            {"calls": rates["list"].samples * _calls(effort)},
            note=f"lists of ten and more schedules a second over HTTP, on {kind}",
        ),
        *_fire(effort, group, postgres, kind),
    ]


def _costs(effort: Effort, postgres: str | None) -> dict[str, Spread | float]:
    """Milliseconds of each operation on databases of several sizes, which take turns."""
    count, samples = effort.size(25, 1), effort.size(7, 2)
    curves = [(schedules, effort.size(installs, min(installs, 2))) for schedules, installs in _CURVES]
    spent: dict[str, list[float]] = {}
    with ExitStack() as stack:
        child = stack.enter_context(Child("benchmarks.contestants.operating:Operating", effort.core))
        sizes = [(stack.enter_context(empty_database(postgres)), *curve) for curve in curves]
        for number in range(samples + 1):
            for (url, schedules, installs), (_, named) in zip(sizes, _CURVES, strict=True):
                batch = child.ask(url=url, schedules=schedules, installs=installs, count=count)
                for operation in OPERATIONS if number else ():  # the first warms up
                    name = f"{operation}_ms_of_{schedules}_schedules_among_{named}_installs"
                    spent.setdefault(name, []).append(batch.counts[operation] / batch.done * 1e3)
    ordered = [name for operation in OPERATIONS for name in spent if name.startswith(f"{operation}_ms")]
    return {name: Spread.of(spent[name]) for name in ordered}


def _rates(effort: Effort, postgres: str | None) -> dict[str, list[float]]:
    """Answers a second: the server has one core, its callers the other."""
    installs = effort.size(_INSTALLS, 2)
    rates: dict[str, list[float]] = {"create": [], "list": []}
    with ExitStack() as stack:
        url = stack.enter_context(empty_database(postgres))
        there = anyio.run(lambda: seed(url, installs=installs, schedules=_SCHEDULES))
        server = stack.enter_context(Server(["benchmarks.servers.alga", url], effort.core))
        load = stack.enter_context(Child("benchmarks.contestants.asking:Asking", effort.load_core))
        for number in range(effort.size(6, 2) + 1):
            for operation, per_second in rates.items():
                batch = load.ask(
                    server=server.url,
                    url=url,
                    operation=operation,
                    count=_calls(effort),
                    schedules=_SCHEDULES,
                    extension_id=there.extension_id,
                    install_ids=there.install_ids,
                )
                if number:  # the first warms up
                    per_second.append(batch.done / batch.wall_s)
    return rates


def _calls(effort: Effort) -> int:
    return effort.size(500, 8)


def _fire(effort: Effort, group: str, postgres: str | None, kind: str) -> list[Result]:
    """Everything is due in the same minute; the runner costs nothing."""
    installs = effort.size(200, 1)
    with ExitStack() as stack:
        url = stack.enter_context(empty_database(postgres))
        anyio.run(lambda: seed(url, installs=installs, schedules=50))
        children = [
            stack.enter_context(Child("benchmarks.contestants.firing:Firing", None))
            for _ in range(_PROCESSES)
        ]
        effort.advance(0.7)
        started = perf_counter()
        for child in children:
            child.order(url=url)
        batches = [child.answer() for child in children]
        seconds = perf_counter() - started
        due, ran = fired(url)
    calls = sum(batch.done for batch in batches)
    figures: dict[str, Spread | float] = {
        "fire_ms_of_cpu_each": sum(batch.cpu_s for batch in batches) / max(1, calls) * 1e3,
        "fire_least_of_a_process": float(min(batch.done for batch in batches)),
        "fire_most_of_a_process": float(max(batch.done for batch in batches)),
    }
    lags = sorted(lag for batch in batches for name, lag in batch.counts.items() if name.startswith(LAG))
    if lags:
        figures["fire_lag_s_p50"] = lags[len(lags) // 2]
        figures["fire_lag_s_p99"] = lags[len(lags) * 99 // 100]
    counts = {"schedules": due, "calls": calls}
    return [
        Result(f"{group}.fire_10k_s", seconds, None, counts, figures, note=f"{due:,} schedules, on {kind}"),
        Result(f"{group}.fire_10k_twice", float(calls - ran), None, counts),
        Result(f"{group}.fire_10k_lost", float(due - ran), None, counts),
    ]


NAMES = ("create_rps", "list_rps", "fire_10k_s", "fire_10k_twice", "fire_10k_lost")

PART = Part("server", tuple(f"server.{name}" for name in NAMES), (), run)
