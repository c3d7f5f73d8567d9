"""What a second worker process brings: executions a second of two, each on a core of its own, against one."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TypeAlias

from ..figures import Result, Spread
from ..part import Effort, Part
from ..processes import Batch, Child

KEY = "scale.two_processes"
PATHS = {"without_calls": "/echo", "with_10_calls": "/create/10"}
_ROUNDS = 12
_BATCH_S = 0.4


def run(effort: Effort) -> Sequence[Result]:
    """One alone and both together take turns, and the one alone is now this one and now that."""
    if effort.core == effort.load_core:
        return [Result(KEY, None, note="this machine has one core")]
    orders = {name: {"path": path} for name, path in PATHS.items()}
    alone, together = measured(effort, "benchmarks.contestants.alga:Execute", orders)
    figures: dict[str, Spread | float] = {}
    for name in PATHS:
        singles, pairs = rates(alone[name], "wall_s", 0.5), rates(together[name], "wall_s")
        figures[f"{name}_alone_per_s"] = Spread.of(singles)
        figures[f"{name}_together_per_s"] = Spread.of(pairs)
        figures[f"{name}_ratio"] = Spread.of_ratios(pairs, singles)
        figures[f"{name}_ratio_by_cpu_time"] = Spread.of_ratios(
            rates(together[name], "cpu_s"), rates(alone[name], "cpu_s", 0.5)
        )
    return [
        Result.ratio(
            KEY,
            rates(together["without_calls"], "wall_s"),
            rates(alone["without_calls"], "wall_s", 0.5),
            counts={"executions_alone": _executions(alone), "executions_together": _executions(together)},
            figures=figures,
        )
    ]


Pairs: TypeAlias = "list[tuple[Batch, Batch]]"
"""Of each round, the batches of both processes."""


def measured(
    effort: Effort, contestant: str, orders: Mapping[str, Mapping[str, str]], *, warm: int = 200
) -> tuple[dict[str, Pairs], dict[str, Pairs]]:
    """Two processes of ``contestant`` carry out each order, in turns: one after the other, and then both together.

    ``warm`` is how often each does before.
    """
    alone: dict[str, Pairs] = {name: [] for name in orders}
    together: dict[str, Pairs] = {name: [] for name in orders}
    with Child(contestant, effort.core) as one, Child(contestant, effort.load_core) as other:
        counts = {name: _count(effort, (one, other), order, warm) for name, order in orders.items()}
        for _ in effort.rounds(_ROUNDS):
            for name, order in orders.items():
                count = counts[name]
                alone[name].append((one.ask(count=count, **order), other.ask(count=count, **order)))
                one.order(count=count, **order)
                other.order(count=count, **order)
                together[name].append((one.answer(), other.answer()))
    return alone, together


def _count(effort: Effort, children: Sequence[Child], order: Mapping[str, str], warm: int) -> int:
    """How many executions make a batch; each child is warm afterwards."""
    batches = [child.ask(count=warm, **order) for child in children for _ in range(2)]
    fastest = min(batch.wall_s / batch.done for batch in batches)
    return max(1, round(effort.size(_BATCH_S, 0.01) / fastest))


def rates(pairs: Pairs, by: str, share: float = 1.0) -> list[float]:
    """Executions a second of both, by the clock or by CPU time, times ``share``."""
    return [share * sum(batch.done / float(getattr(batch, by)) for batch in pair) for pair in pairs]


def _executions(measured: Mapping[str, Sequence[tuple[Batch, Batch]]]) -> int:
    return sum(batch.done for pairs in measured.values() for pair in pairs for batch in pair)


PART = Part("scale", (KEY,), (), run)
