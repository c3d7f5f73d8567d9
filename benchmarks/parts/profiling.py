"""``--profile``: where the microseconds of one execution, and of one host call, go."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from statistics import median

from ..part import Effort
from ..processes import Batch, Child
from ..profiles import Profile

CALLS = 20
_ROUNDS = 20
_BATCH_S = 0.25


def execute(effort: Effort) -> Sequence[Profile]:
    """One execution without host calls."""
    return [_profile(effort, "one execution", "/echo")]


def hostcall(effort: Effort) -> Sequence[Profile]:
    """One host call: what executions with many have beyond those with none."""
    none = _profile(effort, "one execution", "/echo")
    many = _profile(effort, f"one execution with {CALLS} host calls", f"/create/{CALLS}")
    return [many.less(none, "one host call (scheduler.create)", CALLS)]


def _profile(effort: Effort, what: str, path: str) -> Profile:
    """The clock of unsampled batches, shared out by the samples of those that take turns with them."""
    with (
        Child("benchmarks.contestants.alga:Execute", effort.core) as plain,
        Child("benchmarks.contestants.alga:ExecuteSampled", effort.core) as sampled,
    ):
        for child in (plain, sampled):
            child.ask(count=200, path=path)
        trial = plain.ask(count=200, path=path)
        count = max(1, round(200 * effort.size(_BATCH_S, 0.005) / trial.cpu_s))
        rounds = effort.size(_ROUNDS, 2)
        each_us: list[float] = []
        counts: Counter[str] = Counter()
        for number in range(rounds):
            batch = plain.ask(count=count, path=path)
            each_us.append(batch.cpu_s / batch.done * 1e6)
            counts.update(
                {name: int(value) for name, value in sampled.ask(count=count, path=path).counts.items()}
            )
            effort.advance((number + 1) / rounds)
    return Profile.of(what, Batch(0.0, 0.0, counts), median(each_us))
