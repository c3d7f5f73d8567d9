"""How late the event loop is while a module of 12 MB is compiled, and what the code cache spares the next process.

The process may use every core: compiling is another process, at a lower priority.
"""

from __future__ import annotations

from collections.abc import Sequence

from ..figures import Result, Spread
from ..part import Effort, Part
from ..processes import Child

LAG = "compile.loop_p99_ms"
MODULE_BYTES = 12 * 1024 * 1024


def run(effort: Effort) -> Sequence[Result]:
    """Once: a compilation takes a quarter of a minute, and thousands of samples of the lag."""
    with Child("benchmarks.contestants.compiling:Compiling", None) as child:
        counts = child.ask(
            size=effort.size(MODULE_BYTES, MODULE_BYTES // 20), loaded=effort.size(5, 1)
        ).counts
    effort.advance(1.0)
    measured = ("p99_ms", "own_p99_ms", "own_max_ms", "light_p99_ms")
    names = [f"{when}_{what}" for when in ("quiet", "compiling") for what in measured]
    figures: dict[str, Spread | float] = {name: counts[name] for name in names}
    figures["compiled_s"] = counts["compiled_s"]
    figures["loaded_from_cache_ms"] = counts["loaded_ms"]
    proof = {
        "lag_samples": "compiling_samples",
        "light_executions": "compiling_light_executions",
        "module_bytes": "module_bytes",
        "code_bytes": "code_bytes",
        "loaded_from_cache": "loaded",
    }
    return [
        Result(
            LAG,
            counts["compiling_p99_ms"],
            counts={name: int(counts[source]) for name, source in proof.items()},
            figures=figures,
        )
    ]


PART = Part("compile", (LAG,), (), run)
