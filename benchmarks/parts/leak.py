"""What executions leave behind in resident memory, by how they end.

It counts fewer than 200,000 of each kind and scales, so a few pages more or less become hundreds of KB: it shows a
leak, and cannot show that there is none. ``make soak`` runs the whole number.
"""

from __future__ import annotations

from collections.abc import Sequence

from ..figures import Result
from ..part import Effort, Part
from ..processes import Child

KEY = "leak.kb_per_200k"
SCALED_TO = 200_000
KINDS = {"ok": 60_000, "trap": 40_000, "host_error": 40_000, "killed": 20_000, "deadline": 2_000}
"""How many are counted of each kind; a deadline takes a millisecond or two by itself."""


def run(effort: Effort) -> Sequence[Result]:
    """The value is the worst kind's."""
    figures, counts = {}, {}
    with Child("benchmarks.contestants.leak:Leak", effort.core) as child:
        for number, (kind, full) in enumerate(KINDS.items()):
            count = effort.size(full, 20)
            batch = child.ask(kind=kind, count=count, warm_up=count // 4)
            left_kb = batch.counts["after_kb"] - batch.counts["before_kb"]
            figures[f"{kind}_kb_per_200k"] = left_kb * SCALED_TO / count
            figures[f"{kind}_kb_measured"] = left_kb
            counts[f"{kind}_executions"] = batch.done
            effort.advance((number + 1) / len(KINDS))
    worst = max(figures[f"{kind}_kb_per_200k"] for kind in KINDS)
    return [Result(KEY, worst, counts=counts, figures=figures)]


PART = Part("leak", (KEY,), (), run)
