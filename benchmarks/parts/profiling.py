"""``--profile``: where the microseconds of one execution, and of one host call, go."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from statistics import median
from typing import Any

from ..part import Effort
from ..processes import Child
from ..profiles import Profile
from ..sampling import SAMPLE

CALLS = 20
_ROUNDS = 20
_BATCH_S = 0.25


def execute(effort: Effort) -> Sequence[Profile]:
    """One execution without host calls, alone and among others."""
    sides = ("alga:Execute", "alga:ExecuteSampled")
    return [
        profiled(effort, "one execution", *sides, {"path": "/echo"}),
        profiled(effort, "one execution among 32", *sides, {"path": "/echo", "in_flight": 32}),
    ]


def hostcall(effort: Effort) -> Sequence[Profile]:
    """One host call: what executions with many have beyond those with none."""
    sides = ("alga:Execute", "alga:ExecuteSampled")
    none = profiled(effort, "none", *sides, {"path": "/echo"})
    many = profiled(effort, "many", *sides, {"path": f"/create/{CALLS}"})
    return [many.less(none, "one host call", CALLS)]


def profiled(effort: Effort, what: str, plain: str, sampled: str, order: Mapping[str, Any]) -> Profile:
    """The CPU time of unsampled batches, shared out by the samples of those that take turns with them."""
    with (
        Child(f"benchmarks.contestants.{plain}", effort.core) as clocked,
        Child(f"benchmarks.contestants.{sampled}", effort.core) as watched,
    ):
        for child in (clocked, watched):
            child.ask(count=200, **order)
        trial = clocked.ask(count=200, **order)
        count = max(1, round(200 * effort.size(_BATCH_S, 0.005) / trial.cpu_s))
        each_us: list[float] = []
        samples: Counter[str] = Counter()
        for _ in effort.rounds(_ROUNDS):
            batch = clocked.ask(count=count, **order)
            each_us.append(batch.cpu_s / batch.done * 1e6)
            for name, value in watched.ask(count=count, **order).counts.items():
                if name.startswith(SAMPLE):
                    samples[name.removeprefix(SAMPLE)] += int(value)
    return Profile.of(what, samples, median(each_us))
