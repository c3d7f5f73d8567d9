"""How late the event loop is while guests compute: fifty that spin, and bursts of fifty that arrive together.

The process may use every core, as one that serves alone does; a second one, on a single core, is in the figures.
"""

from __future__ import annotations

from collections.abc import Sequence

from ..contestants.fairness import GUESTS_AT_ONCE
from ..figures import Result, Spread
from ..part import Effort, Part
from ..processes import Batch, Child, NotMeasured

SPINNING, BURST = "fairness.loop_p99_ms", "fairness.burst_p99_ms"


def run(effort: Effort) -> Sequence[Result]:
    """Three times, each in a process of its own: the median of three p99."""
    repeats = effort.size(3, 1)
    seconds, bursts = effort.size(4.0, 0.3), effort.size(15, 1)
    free: list[Batch] = []
    for number in range(repeats):
        free.append(_measured(None, seconds=seconds, bursts=bursts))
        effort.advance((number + 1) / (repeats + 1))
    pinned = _measured(effort.core, seconds=seconds, bursts=bursts)
    effort.advance(1.0)

    def spread(name: str) -> Spread:
        return Spread.of(batch.counts[name] for batch in free)

    def total(name: str) -> int:
        return int(sum(batch.counts[name] for batch in free))

    results = []
    for key, kind in ((SPINNING, "spinning"), (BURST, "burst")):
        p99 = spread(f"{kind}_p99_ms")
        figures: dict[str, Spread | float] = {
            f"{kind}_{what}": spread(f"{kind}_{what}")
            for what in ("p50_ms", "max_ms", "light_p50_ms", "light_p99_ms")
        }
        figures[f"{kind}_p99_ms_on_one_core"] = pinned.counts[f"{kind}_p99_ms"]
        figures[f"{kind}_light_p99_ms_on_one_core"] = pinned.counts[f"{kind}_light_p99_ms"]
        if kind == "burst":
            figures["worst_of_a_burst_ms"] = spread("burst_worst_median_ms")
        else:
            figures["quiet_p99_ms"] = spread("quiet_p99_ms")
            figures["quiet_light_p99_ms"] = spread("quiet_light_p99_ms")
        ended = "spinning_killed" if kind == "spinning" else "burst_finished"
        counts = {
            "lag_samples": total(f"{kind}_samples"),
            "light_executions": total(f"{kind}_light_executions"),
            ended: total(ended),
        }
        results.append(Result(key, p99.median, p99, counts, figures))
    return results


def _measured(core: int | None, *, seconds: float, bursts: int) -> Batch:
    with Child("benchmarks.contestants.fairness:Fairness", core) as child:
        batch = child.ask(seconds=seconds, bursts=bursts)
    expected = {"spinning_killed": GUESTS_AT_ONCE, "burst_finished": GUESTS_AT_ONCE * bursts}
    for name, count in expected.items():
        if batch.counts[name] != count:
            raise NotMeasured(f"{name} is {batch.counts[name]}, not {count}")
    return batch


PART = Part("fairness", (SPINNING, BURST), (), run)
