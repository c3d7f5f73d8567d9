"""What one tenant's flood does to another's latency: guests that spin, short ones, hanging ones, large bodies.

The other tenant rings from a process of its own, so that the time until its request is even seen counts. Quiet and loud
take turns in one process, which may use every core.
"""

from __future__ import annotations

from collections.abc import Sequence

from ..contestants.flood import CALLERS, QUIET
from ..figures import Result, Spread
from ..part import Effort, Part
from ..processes import Batch, Child

KEYS = {kind: f"flood.{kind}_p50_ratio" for kind in CALLERS}
_ROUNDS = 5
_RINGS = 200


def run(effort: Effort) -> Sequence[Result]:
    """The ratio is of the medians of neighbouring rounds, one with the flood and one without."""
    rounds, rings = effort.size(_ROUNDS, 1), effort.size(_RINGS, 10)
    batches: dict[str, list[tuple[Batch, Batch]]] = {kind: [] for kind in CALLERS}
    with Child("benchmarks.contestants.flood:Flood", None) as child:
        for number in range(rounds):
            for place, kind in enumerate(CALLERS):
                quiet = child.ask(flood=QUIET, rings=rings)
                batches[kind].append((quiet, child.ask(flood=kind, rings=rings)))
                effort.advance((number + (place + 1) / len(CALLERS)) / rounds)
    return [_result(KEYS[kind], pairs) for kind, pairs in batches.items()]


def _result(key: str, pairs: list[tuple[Batch, Batch]]) -> Result:
    def counts_of(name: str, side: int) -> list[float]:
        return [pair[side].counts[name] for pair in pairs]

    figures: dict[str, Spread | float] = {}
    for share in ("p50", "p90", "p99"):
        for side, name in enumerate(("quiet", "loud")):
            figures[f"{name}_{share}_us"] = Spread.of(counts_of(f"{share}_us", side))
    figures["flood_per_s"] = Spread.of(counts_of("flood_per_s", 1))
    counts = {
        "rings": sum(pair[side].done for pair in pairs for side in (0, 1)),
        "flood_under_way": int(min(counts_of("executing", 1))),
    }
    return Result.ratio(key, counts_of("p50_us", 1), counts_of("p50_us", 0), counts=counts, figures=figures)


PART = Part("flood", tuple(KEYS.values()), (), run)
