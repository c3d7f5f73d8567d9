"""What an execution costs where there are many tenants, modules or suspended guests, and a KB of a large body."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import ExitStack

from ..contest import Entry
from ..figures import Result, Spread
from ..part import Effort, Part
from ..processes import Child

TENANTS, MODULES = "scale.tenants_10k", "scale.modules_1k"
SUSPENDED, BODIES = "scale.suspended_10k", "scale.bodies_8m"
KIB = 1024
_MANY = "benchmarks.contestants.many:Many"


def run(effort: Effort) -> Sequence[Result]:
    """Each number of one thing has a process of its own; all take turns."""
    orders: dict[str, dict[str, int]] = {
        "one": {},
        "tenants_1k": {"tenants": effort.size(1_000, 3)},
        TENANTS: {"tenants": effort.size(10_000, 4)},
        "modules_100": {"modules": effort.size(100, 2)},
        MODULES: {"modules": effort.size(1_000, 3)},
        "modules_3k": {"modules": effort.size(3_000, 4)},
        SUSPENDED: {"suspended": effort.size(10_000, 3)},
        "body_64k": {"body_bytes": 64 * KIB},
        BODIES: {"body_bytes": effort.size(8 * KIB * KIB, 128 * KIB)},
    }
    with ExitStack() as stack:
        entries = {
            name: Entry(stack.enter_context(Child(_MANY, effort.core)), order)
            for name, order in orders.items()
        }
        timings = effort.contest(entries, rounds=30, batch_s=0.03)
    figures: dict[str, Spread | float] = {}
    for name, timing in timings.items():
        figures[f"{name.removeprefix('scale.')}_cpu_us"] = timing.cpu
        figures[f"{name.removeprefix('scale.')}_kb"] = timing.counts["kb"] / len(timing.cpu_us)
    one = timings["one"].cpu_us
    counts = {"answers_checked": sum(timing.counts["checked"] for timing in timings.values())}
    small = [us / 64 for us in timings["body_64k"].cpu_us]
    large = [us / (orders[BODIES]["body_bytes"] / KIB) for us in timings[BODIES].cpu_us]
    return [
        Result.ratio(TENANTS, timings[TENANTS].cpu_us, one, counts=counts, figures=figures),
        *(
            Result.ratio(key, timings[key].cpu_us, one, counts=counts, figures={})
            for key in (MODULES, SUSPENDED)
        ),
        Result.ratio(BODIES, large, small, counts=counts, figures={}),
    ]


PART = Part("growth", (TENANTS, MODULES, SUSPENDED, BODIES), (), run)
