"""How many guests one process holds that wait for a server, and how much memory each of them keeps."""

from __future__ import annotations

from collections.abc import Sequence

from ..figures import Result
from ..part import Effort, Part
from ..processes import Child

COUNT, KB_EACH, HOST_KB_EACH = "suspended.count", "suspended.kb_each", "suspended.host_kb_each"


def run(effort: Effort) -> Sequence[Result]:
    """All of what an execution keeps counts: its guest, its request, its task."""
    count = effort.size(10_000, 40)
    with Child("benchmarks.contestants.suspended:Suspended", effort.core) as child:
        batch = child.ask(count=count)
    counted = {name: int(batch.counts[name]) for name in ("suspended", "done", "created")}
    kb_each = (batch.counts["suspended_kb"] - batch.counts["before_kb"]) / count
    guest_each = batch.counts["guests_kb"] / count
    kept_each = (batch.counts["after_kb"] - batch.counts["before_kb"]) / count
    figures = {
        name: batch.counts[name]
        for name in ("before_kb", "suspended_kb", "after_kb", "suspended_us_each", "finished_us_each")
    }
    return [
        Result(COUNT, min(counted["suspended"], counted["done"]), counts=counted, figures=figures),
        Result(
            KB_EACH,
            kb_each,
            counts=counted,
            figures={"own_kb_each": batch.counts["own_kb"] / count, "kept_after_kb_each": kept_each},
        ),
        Result(
            HOST_KB_EACH,
            kb_each - guest_each,
            counts=counted,
            figures={"guests_memory_kb_each": guest_each},
        ),
    ]


PART = Part("suspended", (COUNT, KB_EACH, HOST_KB_EACH), (), run)
