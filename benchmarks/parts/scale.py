"""What a second worker process brings: executions a second of two, each on a core of its own, against one."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

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
    alone: dict[str, list[tuple[Batch, Batch]]] = {name: [] for name in PATHS}
    together: dict[str, list[tuple[Batch, Batch]]] = {name: [] for name in PATHS}
    with (
        Child("benchmarks.contestants.alga:Execute", effort.core) as one,
        Child("benchmarks.contestants.alga:Execute", effort.load_core) as other,
    ):
        counts = {path: _count(effort, (one, other), path) for path in PATHS.values()}
        for _ in effort.rounds(_ROUNDS):
            for name, path in PATHS.items():
                count = counts[path]
                alone[name].append((one.ask(path=path, count=count), other.ask(path=path, count=count)))
                one.order(path=path, count=count)
                other.order(path=path, count=count)
                together[name].append((one.answer(), other.answer()))
    figures: dict[str, Spread | float] = {}
    for name in PATHS:
        singles, pairs = _rates(alone[name], "wall_s", 0.5), _rates(together[name], "wall_s")
        figures[f"{name}_alone_per_s"] = Spread.of(singles)
        figures[f"{name}_together_per_s"] = Spread.of(pairs)
        figures[f"{name}_ratio"] = Spread.of_ratios(pairs, singles)
        figures[f"{name}_ratio_by_cpu_time"] = Spread.of_ratios(
            _rates(together[name], "cpu_s"), _rates(alone[name], "cpu_s", 0.5)
        )
    return [
        Result.ratio(
            KEY,
            _rates(together["without_calls"], "wall_s"),
            _rates(alone["without_calls"], "wall_s", 0.5),
            counts={"executions_alone": _executions(alone), "executions_together": _executions(together)},
            figures=figures,
        )
    ]


def _count(effort: Effort, children: Sequence[Child], path: str) -> int:
    """How many executions make a batch; each child is warm afterwards."""
    batches = [child.ask(path=path, count=200) for child in children for _ in range(2)]
    fastest = min(batch.wall_s / batch.done for batch in batches)
    return max(1, round(effort.size(_BATCH_S, 0.01) / fastest))


def _rates(pairs: Sequence[tuple[Batch, Batch]], by: str, share: float = 1.0) -> list[float]:
    """Executions a second of both, by the clock or by CPU time, times ``share``."""
    return [share * sum(batch.done / float(getattr(batch, by)) for batch in pair) for pair in pairs]


def _executions(measured: Mapping[str, Sequence[tuple[Batch, Batch]]]) -> int:
    return sum(batch.done for pairs in measured.values() for pair in pairs for batch in pair)


PART = Part("scale", (KEY,), (), run)
