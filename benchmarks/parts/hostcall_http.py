"""What one host call costs in CPU that is forwarded over HTTP, with 32 in flight.

The key compares the exchange: from the port's method, with its models, deadline and checks, to the server's answer and
back, against ``httpx.AsyncClient().post``. Beside it stands the whole call, from the guest through gate and port, as
executions with many calls less executions with none. The server has the other core, and its CPU does not count.
"""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import ExitStack

from ..contest import Entry, Timings
from ..figures import Result, Spread
from ..part import Effort, Part
from ..processes import Child
from ..profiles import Profile
from ..running import Server
from . import profiling

KEY = "hostcall_http.vs_httpx_default"
CALLS = 10
_EXCHANGES = {"ours": "Ours", "ours_over_httpx_pool": "OursOverHttpx", "httpx_default": "Httpx"}
_WHOLE = {"ours": "Forwarded", "ours_over_httpx_pool": "HttpxDefault"}


def run(effort: Effort) -> Sequence[Result]:
    """aiohttp is beside it where it is installed."""
    exchanges = _EXCHANGES if PART.missing else {**_EXCHANGES, "aiohttp": "Aiohttp"}
    with ExitStack() as stack:
        url = stack.enter_context(Server(["benchmarks.servers.backend"], effort.load_core)).url

        def entry(contestant: str, **order: int) -> Entry:
            child = stack.enter_context(Child(f"benchmarks.contestants.{contestant}", effort.core))
            return Entry(child, {"url": url, **order})

        entries = {name: entry(f"posting:{contestant}") for name, contestant in exchanges.items()}
        entries["no call"] = entry("forwarded:Forwarded", calls=0)
        for name, contestant in _WHOLE.items():
            entries[f"{name} whole"] = entry(f"forwarded:{contestant}", calls=CALLS)
        timings = effort.contest(entries, rounds=12, batch_s=0.3)
    figures: dict[str, Spread | float] = {f"{name}_cpu_us": timings[name].cpu for name in exchanges}
    whole = {name: _per_call(timings[f"{name} whole"], timings["no call"]) for name in _WHOLE}
    for name, each in whole.items():
        figures[f"{name}_whole_call_cpu_us"] = Spread.of(each)
    figures["whole_call_ratio"] = Spread.of_ratios(whole["ours_over_httpx_pool"], whole["ours"])
    figures["same_code_ratio"] = Spread.of_ratios(
        timings["ours_over_httpx_pool"].cpu_us, timings["ours"].cpu_us
    )
    counts = {f"{name}_exchanges": timings[name].counts["checked"] for name in exchanges}
    counts |= {f"{name}_whole_calls": timings[f"{name} whole"].counts["host_calls"] for name in _WHOLE}
    above, below = timings["httpx_default"].cpu_us, timings["ours"].cpu_us
    return [Result.ratio(KEY, above, below, counts=counts, figures=figures)]


def _per_call(many: Timings, none: Timings) -> list[float]:
    return [
        (with_calls - without) / CALLS for with_calls, without in zip(many.cpu_us, none.cpu_us, strict=True)
    ]


def profile(effort: Effort) -> Sequence[Profile]:
    """One exchange of ours."""
    with Server(["benchmarks.servers.backend"], effort.load_core) as server:
        contestants = ("posting:Ours", "posting:OursSampled")
        return [profiling.profiled(effort, "one forwarded exchange", *contestants, {"url": server.url})]


PART = Part("hostcall_http", (KEY,), ("aiohttp",), run, profile)
