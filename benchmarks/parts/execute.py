"""What one execution costs: 1 KB in, 1 KB out, in a fresh instance, through limits, deadline, gate and models."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import ExitStack

from ..contest import Entry
from ..figures import Result, Spread
from ..part import Effort, Part, peer_missing
from ..processes import Child
from . import profiling

REUSED, ISOLATED = "execute.vs_extism_reused", "execute.vs_extism_isolated"
ONE_CALL = "execute.one_call_ratio"


def run(effort: Effort) -> Sequence[Result]:
    """CPU time decides, since other processes cannot disturb it; time on the clock is a figure as well."""
    contestants = {
        "ours": "benchmarks.contestants.alga:Execute",
        "ours_in_python": "benchmarks.contestants.alga:ExecuteInPython",
        "ours_from_json": "benchmarks.contestants.alga:ExecuteJson",
        "ours_with_log_lines": "benchmarks.contestants.alga:ExecuteLogged",
    }
    peers = not PART.missing
    if peers:
        contestants["extism_reused"] = "benchmarks.contestants.extism:Reused"
        contestants["extism_isolated"] = "benchmarks.contestants.extism:Isolated"
    with ExitStack() as stack:
        entries = {
            name: Entry(stack.enter_context(Child(contestant, effort.core)), {"path": "/echo"})
            for name, contestant in contestants.items()
        }
        entries["ours_with_one_call"] = Entry(entries["ours"].child, {"path": "/create/1"})
        timings = effort.contest(entries, rounds=60, batch_s=0.03)
    figures: dict[str, Spread | float] = {}
    for name, timing in timings.items():
        figures[f"{name}_cpu_us"] = timing.cpu
        figures[f"{name}_wall_us"] = timing.wall
    if not peers:
        return [peer_missing(key, "extism") for key in PART.keys]
    ours, reused, isolated = (timings[name] for name in ("ours", "extism_reused", "extism_isolated"))
    one_call = timings["ours_with_one_call"]
    for name in ("ours_in_python", "ours_from_json", "ours_with_log_lines"):
        figures[f"{name}_vs_extism_reused"] = Spread.of_ratios(timings[name].cpu_us, reused.cpu_us)
    counts = {f"{name}_answers_checked": timing.counts["checked"] for name, timing in timings.items()}
    counts["ours_with_log_lines_written"] = timings["ours_with_log_lines"].counts["log_lines"]
    figures["wall_ratio"] = Spread.of_ratios(ours.wall_us, reused.wall_us)
    return [
        Result.ratio(REUSED, ours.cpu_us, reused.cpu_us, counts=counts, figures=figures),
        Result.ratio(
            ISOLATED,
            isolated.cpu_us,
            ours.cpu_us,
            counts={
                name: count for name, count in counts.items() if "isolated" in name or "ours_ans" in name
            },
            figures={
                "ours_cpu_us": ours.cpu,
                "extism_isolated_cpu_us": isolated.cpu,
                "wall_ratio": Spread.of_ratios(isolated.wall_us, ours.wall_us),
            },
        ),
        Result.ratio(
            ONE_CALL,
            one_call.cpu_us,
            ours.cpu_us,
            counts={"host_calls": one_call.counts["host_calls"], "executions": one_call.counts["done"]},
            figures={},
        ),
    ]


PART = Part("execute", (REUSED, ISOLATED, ONE_CALL), ("extism",), run, profiling.execute)
