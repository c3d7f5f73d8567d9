"""What one host call costs in CPU that is forwarded over HTTP, with 32 in flight.

The key compares the exchange: from the port's method, with its models, deadline and checks, to the server's answer and
back, against ``httpx.AsyncClient().post``. A figure is the whole call, from the guest through gate and port:
executions with many calls less executions with none. The server has the other core, and its CPU does not count.
"""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import ExitStack

from ..contest import Entry
from ..figures import Result, Spread
from ..part import Effort, Part
from ..processes import Child
from ..profiles import Profile
from ..running import Server
from . import profiling

KEY = "hostcall_http.vs_httpx_default"
CALLS = 10
_EXCHANGES = {
    "ours": "posting:Ours",
    "ours_over_httpx_pool": "posting:OursOverHttpx",
    "httpx_default": "posting:Httpx",
}


def run(effort: Effort) -> Sequence[Result]:
    """aiohttp is compared too where it is installed."""
    exchanges = _EXCHANGES if PART.missing else {**_EXCHANGES, "aiohttp": "posting_aiohttp:Aiohttp"}
    with ExitStack() as stack:
        url = stack.enter_context(Server(["benchmarks.servers.backend"], effort.load_core)).url

        def entry(contestant: str, **order: int) -> Entry:
            child = stack.enter_context(Child(f"benchmarks.contestants.{contestant}", effort.core))
            return Entry(child, {"url": url, **order})

        entries = {name: entry(contestant) for name, contestant in exchanges.items()}
        entries["no call"] = entry("forwarded:Forwarded", calls=0)
        entries["whole call"] = Entry(entries["no call"].child, {"url": url, "calls": CALLS})
        timings = effort.contest(entries, rounds=12, batch_s=0.25)
    figures: dict[str, Spread | float] = {f"{name}_cpu_us": timings[name].cpu for name in exchanges}
    many, none = timings["whole call"], timings["no call"]
    figures["ours_whole_call_cpu_us"] = Spread.of(
        (with_calls - without) / CALLS for with_calls, without in zip(many.cpu_us, none.cpu_us, strict=True)
    )
    figures["same_code_ratio"] = Spread.of_ratios(
        timings["ours_over_httpx_pool"].cpu_us, timings["ours"].cpu_us
    )
    counts = {f"{name}_exchanges": timings[name].counts["checked"] for name in exchanges}
    counts["ours_whole_calls"] = many.counts["host_calls"]
    above, below = timings["httpx_default"].cpu_us, timings["ours"].cpu_us
    return [Result.ratio(KEY, above, below, counts=counts, figures=figures)]


def profile(effort: Effort) -> Sequence[Profile]:
    """One exchange of ours."""
    with Server(["benchmarks.servers.backend"], effort.load_core) as server:
        contestants = ("posting:Ours", "posting:OursSampled")
        return [profiling.profiled(effort, "one forwarded exchange", *contestants, {"url": server.url})]


PART = Part("hostcall_http", (KEY,), ("aiohttp",), run, profile)
