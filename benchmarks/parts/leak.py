"""What executions leave behind in resident memory, by how they end.

It counts fewer than 200,000 of each kind and scales, so a few pages more or less become hundreds of KB: it shows a
leak, and cannot prove the absence of one. ``make soak`` runs the whole number.
"""

from __future__ import annotations

from collections.abc import Sequence
from time import perf_counter

from ..figures import Result
from ..part import PART_S, Effort, Part
from ..processes import Child

KEY = "leak.kb_per_200k"
SCALED_TO = 200_000
KINDS = {"ok": 60_000, "trap": 40_000, "host_error": 40_000, "killed": 20_000, "deadline": 2_000}
"""How many are counted of each kind, if there is time; a deadline takes a millisecond or two by itself."""
PIECES = 10
"""Of each kind, one after the other; memory is read between them."""


def run(effort: Effort) -> Sequence[Result]:
    """The value is the worst kind's."""
    figures: dict[str, float] = {}
    counts: dict[str, int] = {}
    with Child("benchmarks.contestants.leak:Leak", effort.core) as child:
        for number, (kind, full) in enumerate(KINDS.items()):
            count, left_kb = left(child, kind, effort.size(full // PIECES, 2))
            figures[f"{kind}_kb_per_200k"] = left_kb * SCALED_TO / count
            figures[f"{kind}_kb_measured"] = left_kb
            counts[f"{kind}_executions"] = count
            effort.advance((number + 1) / len(KINDS))
    worst = max(figures[f"{kind}_kb_per_200k"] for kind in KINDS)
    return [Result(KEY, worst, counts=counts, figures=figures)]


def left(child: Child, kind: str, piece: int) -> tuple[int, float]:
    """How many were executed after the first few, and what they left, in KB."""
    child.ask(kind=kind, count=2 * piece)
    until = perf_counter() + PART_S / len(KINDS)
    batches = [child.ask(kind=kind, count=piece)]
    while len(batches) < PIECES and perf_counter() < until:
        batches.append(child.ask(kind=kind, count=piece))
    return sum(batch.done for batch in batches), batches[-1].counts["after_kb"] - batches[0].counts[
        "before_kb"
    ]


PART = Part("leak", (KEY,), (), run)
