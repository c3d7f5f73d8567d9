"""Components: the same one through wasmtime-py's own API in the same run, and what many of them take.

The goals of ``component.*vs_wasmtime_py`` are for the engine: a new store, an instance, the call, the end, on both
sides, with host functions that have their answer ready. ``component.execute_vs_wasmtime_py`` sets a whole
``Runner.execute`` against the same.
"""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from contextlib import ExitStack
from pathlib import Path
from statistics import median
from tempfile import TemporaryDirectory

from ..contest import Entry, Timings
from ..contestants.component_work import CASES, SAMPLE, SPIDERMONKEY
from ..figures import Result, Spread
from ..part import Effort, Part
from ..processes import Child, NotMeasured
from . import leak, scale

KEY = "component.vs_wasmtime_py"
QUICKJS = "component.quickjs_vs_wasmtime_py"
EXECUTE = "component.execute_vs_wasmtime_py"
BODY = "component.body64k_vs_wasmtime_py"
TWO = "component.two_processes"
FIRST = "component.first_answer_ms"
PRIVATE = "component.private_kb_each"
LAG = "component.loop_p99_ms"
LEFT = "component.leak_kb_per_10k"
KEYS = (KEY, QUICKJS, EXECUTE, BODY, TWO, FIRST, PRIVATE, LAG, LEFT)

_SIDES = {
    "ours": "benchmarks.contestants.component:EngineAlone",
    "execute": "benchmarks.contestants.component:ExecuteComponent",
    "wasmtime_py": "benchmarks.contestants.component_peer:WasmtimePy",
}
_ROUNDS = 12
_BATCH_S = 0.15
_COMPUTING = 40
_SCALED_TO = 10_000
_WARM = 2_000
"""Executions after which the process does not grow any more: it does for the first 1,200."""
_KINDS = {"ok": 5_000, "trap": 20_000, "host_error": 5_000, "killed": 5_000, "deadline": 2_000}
"""How many are counted of each kind, if there is time."""


def run(effort: Effort) -> Sequence[Result]:
    """Every key is of the build on QuickJS, except the first."""
    engines = ["quickjs", *(["spidermonkey"] if os.environ.get(SPIDERMONKEY) else [])]
    timings = {engine: _contest(effort, engine) for engine in engines}
    of = timings["quickjs"]
    results = [
        _ratio(KEY, timings["spidermonkey"], "ours", "eleven")
        if "spidermonkey" in timings
        else Result(KEY, None, note=f"{SPIDERMONKEY} names no build on SpiderMonkey"),
        _ratio(QUICKJS, of, "ours", "eleven"),
        _ratio(EXECUTE, of, "execute", "eleven"),
        _ratio(BODY, of, "ours", "body64k"),
    ]
    results.append(_two_processes(effort))
    results.append(_first_answer(effort, engines))
    results.append(_private(effort))
    results.append(_lag(effort))
    results.append(_left(effort))
    return results


def _contest(effort: Effort, engine: str) -> dict[str, Timings]:
    with ExitStack() as stack:
        children = {side: stack.enter_context(Child(name, effort.core)) for side, name in _SIDES.items()}
        entries = {
            f"{side} {case}": Entry(child, {"engine": engine, "case": case})
            for case in CASES
            for side, child in children.items()
        }
        timings = effort.contest(entries, rounds=_ROUNDS, batch_s=_BATCH_S)
    for name, timing in timings.items():
        expected = CASES[name.partition(" ")[2]].host_calls
        calls = expected - 1 if name == "execute eleven" else expected  # the log's is no call of the server
        if timing.counts["host_calls"] != calls * timing.counts["done"]:
            raise NotMeasured(f"{name} made {timing.counts['host_calls']} host calls")
    return timings


def _ratio(key: str, timings: Mapping[str, Timings], side: str, case: str) -> Result:
    ours, theirs = timings[f"{side} {case}"], timings[f"wasmtime_py {case}"]
    prefix = (
        key.partition(".")[2].removesuffix("_vs_wasmtime_py").removesuffix("vs_wasmtime_py") or "spidermonkey"
    )
    return Result.ratio(
        key,
        theirs.cpu_us,
        ours.cpu_us,
        counts={"ours_checked": ours.counts["checked"], "wasmtime_py_checked": theirs.counts["checked"]},
        figures={
            f"{prefix}_cpu_us": ours.cpu,
            f"{prefix}_wasmtime_py_cpu_us": theirs.cpu,
            f"{prefix}_wall_ratio": Spread.of_ratios(theirs.wall_us, ours.wall_us),
            f"{prefix}_ratio_without_calls": Spread.of_ratios(
                timings["wasmtime_py none"].cpu_us, timings[f"{side} none"].cpu_us
            ),
        },
    )


def _two_processes(effort: Effort) -> Result:
    """Whole executions a second, of two processes against one."""
    if effort.core == effort.load_core:
        return Result(TWO, None, note="this machine has one core")
    orders = {case: {"engine": "quickjs", "case": case} for case in ("none", "eleven")}
    alone, together = scale.measured(effort, _SIDES["execute"], orders, warm=effort.size(50, 4))
    pairs = {
        case: (scale.rates(together[case], "wall_s"), scale.rates(alone[case], "wall_s", 0.5))
        for case in orders
    }
    return Result.ratio(
        TWO,
        *pairs["eleven"],
        counts={"executions_together": sum(batch.done for pair in together["eleven"] for batch in pair)},
        figures={
            "alone_per_s": Spread.of(pairs["eleven"][1]),
            "together_per_s": Spread.of(pairs["eleven"][0]),
            "two_processes_without_calls": Spread.of_ratios(*pairs["none"]),
        },
    )


def _first_answer(effort: Effort, engines: Sequence[str]) -> Result:
    """The first of a process after the one that compiles."""
    repeats = effort.size(9, 1)
    figures: dict[str, Spread | float] = {}
    first: dict[str, Spread] = {}
    with TemporaryDirectory() as folder:
        for engine in engines:
            order = {"engine": engine, "case": "eleven", "code_cache": str(Path(folder) / engine)}
            compiled, *later = [_first(effort, order) for _ in range(1 + repeats)]
            figures[f"{engine}_compiled_ms"] = compiled["first_ms"]
            first[engine] = Spread.of(counts["first_ms"] for counts in later)
            figures[f"{engine}_first_answer_ms"] = first[engine]
            figures[f"{engine}_first_answer_cpu_ms"] = Spread.of(counts["first_cpu_ms"] for counts in later)
    spread = first["quickjs"]
    return Result(FIRST, spread.median, spread, {"processes": repeats}, figures)


def _first(effort: Effort, order: Mapping[str, str]) -> Mapping[str, float]:
    with Child("benchmarks.contestants.component:FirstAnswer", effort.core) as child:
        return child.ask(**order).counts


def _private(effort: Effort) -> Result:
    count = effort.size(500, 8)
    with Child("benchmarks.contestants.suspended:Suspended", effort.core) as child:
        batch = child.ask(count=count, sample=SAMPLE.name)
    suspended = int(batch.counts["suspended"])
    if suspended != count:
        raise NotMeasured(f"{suspended} of {count} components were suspended")
    resident = (batch.counts["suspended_kb"] - batch.counts["before_kb"]) / count
    return Result(
        PRIVATE,
        batch.counts["own_kb"] / count,
        counts={"suspended": suspended, "done": batch.done},
        figures={"resident_kb_each": resident},
    )


def _lag(effort: Effort) -> Result:
    """Three times, each in a process of its own that may use every core: the median of three p99."""
    counts = []
    for _ in range(effort.size(3, 1)):
        with Child("benchmarks.contestants.component_ends:Among", None) as child:
            counts.append(
                child.ask(guests=_COMPUTING, seconds=effort.size(4.0, 0.3), engine="quickjs").counts
            )
    if any(count["killed"] != _COMPUTING for count in counts):
        raise NotMeasured("not every component computed to its deadline")
    p99 = Spread.of(count["loop_p99_ms"] for count in counts)
    return Result(
        LAG,
        p99.median,
        p99,
        {
            "lag_samples": int(sum(count["loop_samples"] for count in counts)),
            "killed": _COMPUTING * len(counts),
        },
        {
            f"among_computing_{what}": median(count[f"loop_{what}"] for count in counts)
            for what in ("own_p99_ms", "light_p50_ms", "light_p99_ms")
        },
    )


def _left(effort: Effort) -> Result:
    """The value is the worst kind's."""
    figures: dict[str, float] = {}
    counts: dict[str, int] = {}
    with Child("benchmarks.contestants.component_ends:Leak", effort.core) as child:
        child.ask(kind="ok", count=effort.size(_WARM, 2))
        for kind, full in _KINDS.items():
            count, left_kb = leak.left(child, kind, effort.size(full // leak.PIECES, 2))
            figures[f"{kind}_kb_per_10k"] = left_kb * _SCALED_TO / count
            counts[f"{kind}_executions"] = count
    return Result(LEFT, max(figures.values()), counts=counts, figures=figures)


PART = Part("component", KEYS, (), run)
