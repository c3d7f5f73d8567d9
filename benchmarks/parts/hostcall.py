"""What one host call costs that is answered in process: the difference between executions with many and with none.

Ours goes through gate, decoding, validation, an operation on a server in process, and encoding. Extism's is a bare
Python host function that takes the same bytes and answers with the same; its guest reads them all the same. A second
one does the same work: it decodes, validates with the same models, encodes and counts.
"""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import ExitStack

from ..contest import Entry, Timings
from ..figures import Result, Spread
from ..part import Effort, Part, peer_missing
from ..processes import Child, NotMeasured
from . import profiling

BARE, SAME_WORK = "hostcall.vs_extism", "hostcall.same_work_vs_extism"
CALLS = 20
PATHS = {"none": "/echo", "create": f"/create/{CALLS}", "list": f"/list/{CALLS}"}


def run(effort: Effort) -> Sequence[Result]:
    """The key compares ``scheduler.create``; ``scheduler.list``, with one schedule, is a figure as well."""
    if PART.missing:
        return [peer_missing(key, "extism") for key in PART.keys]
    with ExitStack() as stack:
        children = {
            "ours": stack.enter_context(Child("benchmarks.contestants.alga:Execute", effort.core)),
            "extism": stack.enter_context(Child("benchmarks.contestants.extism:Reused", effort.core)),
            "extism_same_work": stack.enter_context(
                Child("benchmarks.contestants.extism_same_work:SameWork", effort.core)
            ),
        }
        entries = {
            f"{side} {what}": Entry(child, {"path": path})
            for what, path in PATHS.items()
            for side, child in children.items()
        }
        timings = effort.contest(entries, rounds=50, batch_s=0.03)
    per_call = {
        (side, what): _per_call(timings[f"{side} {what}"], timings[f"{side} none"])
        for side in children
        for what in ("create", "list")
    }
    figures: dict[str, Spread | float] = {
        f"{side}_{what}_cpu_us": Spread.of(numbers) for (side, what), numbers in per_call.items()
    }
    for peer in ("extism", "extism_same_work"):
        ratios = Spread.of_ratios(per_call["ours", "list"], per_call[peer, "list"])
        figures[f"list_vs_{peer}"] = ratios
    counts = {
        f"{side}_{what}_calls": timings[f"{side} {what}"].counts["host_calls"] for side, what in per_call
    }
    for (side, what), count in zip(per_call, counts.values(), strict=True):
        if count != CALLS * timings[f"{side} {what}"].counts["done"]:
            raise NotMeasured(f"{side} answered {count} calls of {what}")
    ours = per_call["ours", "create"]
    return [
        Result.ratio(BARE, ours, per_call["extism", "create"], counts=counts, figures=figures),
        Result.ratio(SAME_WORK, ours, per_call["extism_same_work", "create"], counts=counts, figures={}),
    ]


def _per_call(many: Timings, none: Timings) -> list[float]:
    return [
        (with_calls - without) / CALLS for with_calls, without in zip(many.cpu_us, none.cpu_us, strict=True)
    ]


PART = Part("hostcall", (BARE, SAME_WORK), ("extism",), run, profiling.hostcall)
