"""What each key means, and what it should be."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Goal:
    """``meaning`` in a few words; ``at_most`` or ``at_least`` is the goal, if there is one."""

    meaning: str
    at_most: float | None = None
    at_least: float | None = None

    def met(self, value: float | None) -> bool | None:
        """Whether ``value`` meets it; ``None`` without a goal or a value."""
        if value is None or (self.at_most is None and self.at_least is None):
            return None
        above = self.at_least is None or value >= self.at_least
        return above and (self.at_most is None or value <= self.at_most)

    def __str__(self) -> str:
        if self.at_most is not None:
            return f"<= {self.at_most:g}"
        return f">= {self.at_least:,g}" if self.at_least is not None else ""


GOALS = {
    "execute.vs_extism_reused": Goal("one execution, ours / Extism with a reused plugin", at_most=1.5),
    "execute.vs_extism_isolated": Goal("one execution, Extism with a fresh plugin / ours", at_least=5),
    "execute.one_call_ratio": Goal(
        "one execution with a host call that is answered in process / one without", at_most=1.5
    ),
    "hostcall.vs_extism": Goal("one host call, ours / Extism's bare host function", at_most=1),
    "hostcall.same_work_vs_extism": Goal(
        "one host call, ours / Extism's host function that does the same work", at_most=1
    ),
    "sdk.assemblyscript_create_us": Goal(
        "CPU of an execution that creates a schedule, with the AssemblyScript SDK, in us"
    ),
    "sdk.rust_create_us": Goal("the same with the Rust SDK"),
    "sdk.c_create_us": Goal("the same with the C SDK"),
    "sdk.go_create_us": Goal("the same with the Go SDK"),
    "hostcall_http.vs_httpx_default": Goal(
        "CPU of a forwarded host call at 32 in flight, httpx's default pool / ours", at_least=10
    ),
    "suspended.count": Goal("guests suspended concurrently in one process, all finishing", at_least=10_000),
    "suspended.kb_each": Goal("resident KB of each", at_most=30),
    "suspended.host_kb_each": Goal("of these, without the pages of the guest's own memory", at_most=35),
    "fairness.loop_p99_ms": Goal("event loop lag, p99 in ms, with fifty spinning guests", at_most=2),
    "fairness.burst_p99_ms": Goal("the same, with bursts of fifty arriving together", at_most=2),
    "compile.loop_p99_ms": Goal("the same, while a module of 12 MB is compiled", at_most=2),
    "flood.spinning_p50_ratio": Goal(
        "a tenant's latency while another one has fifty spinning guests / without", at_most=2
    ),
    "flood.short_p50_ratio": Goal("the same, while another one has short guests without end", at_most=2),
    "flood.hanging_p50_ratio": Goal("the same, while another one has host calls that hang", at_most=2),
    "flood.bodies_p50_ratio": Goal("the same, while another one sends bodies of 8 MiB", at_most=2),
    "shares.reads_p50_ratio": Goal(
        "a tenant's calls of the gateway, p50 while another one lists megabytes of payloads without end / without",
        at_most=3,
    ),
    "shares.reads_p99_ratio": Goal("the same, p99", at_most=10),
    "shares.places_p50_ratio": Goal(
        "a tenant's calls of the gateway, p50 while another one has guests that sleep in every place / without",
        at_most=3,
    ),
    "shares.places_p99_ratio": Goal("the same, p99", at_most=10),
    "shares.bodies_p50_ratio": Goal(
        "a tenant's calls of the gateway, p50 while another one sends bodies of 8 MiB / without", at_most=3
    ),
    "shares.bodies_p99_ratio": Goal("the same, p99", at_most=10),
    "shares.runs_p50_ratio": Goal(
        "a tenant's schedules, from due to the end of the run, p50 while another one's hundred sleep / without",
        at_most=3,
    ),
    "shares.runs_p99_ratio": Goal("the same, p99", at_most=10),
    "shares.runs_missed": Goal("of these, those that did not run", at_most=0),
    "shares.memory_p50_ratio": Goal(
        "a tenant's executions that take 4 MB, p50 while another one's fill all the memory they get / without",
        at_most=3,
    ),
    "shares.memory_p99_ratio": Goal("the same, p99", at_most=10),
    "shares.memory_peak_of_total": Goal("the process's peak / max_process_memory_mb", at_most=1),
    "shares.programs_p50_ratio": Goal(
        "a tenant's executions of a loaded module, p50 while another one loads more than fits / without",
        at_most=3,
    ),
    "shares.programs_p99_ratio": Goal("the same, p99", at_most=10),
    "shares.programs_peak_of_total": Goal("what the process grew by at its peak / max_loaded_mb", at_most=1),
    "shares.compile_p50_ratio": Goal(
        "a tenant's first executions of small modules, p50 while another one has slow ones compiled / without",
        at_most=3,
    ),
    "shares.compile_p99_ratio": Goal("the same, p99", at_most=10),
    "shares.unpacking_p50_ratio": Goal(
        "a tenant's executions from small archives that are new, p50 while another one has large ones / without",
        at_most=3,
    ),
    "shares.unpacking_p99_ratio": Goal("the same, p99", at_most=10),
    "shares.unpacking_peak_of_total": Goal(
        "what the process grew by at its peak / what archives may take together", at_most=1
    ),
    "component.vs_wasmtime_py": Goal(
        "a component on SpiderMonkey that calls the host eleven times, wasmtime-py / ours", at_least=1.4
    ),
    "component.quickjs_vs_wasmtime_py": Goal("the same on QuickJS", at_least=2.2),
    "component.execute_vs_wasmtime_py": Goal("the same, ours a whole execution with gate and operations"),
    "component.body64k_vs_wasmtime_py": Goal("the same without calls, with a body of 64 KiB", at_least=8),
    "component.two_processes": Goal("executions of it a second, two processes / one", at_least=1.8),
    "component.first_answer_ms": Goal(
        "the first answer of a process, in ms from the end of imports, from a verified cache", at_most=60
    ),
    "component.private_kb_each": Goal("private KB of each that is suspended", at_most=200),
    "component.loop_p99_ms": Goal("event loop lag, p99 in ms, among forty computing components", at_most=2),
    "component.leak_kb_per_10k": Goal("resident KB that 10,000 executions of a kind leave, the worst kind"),
    "scale.two_processes": Goal("executions a second, two processes / one", at_least=1.9),
    "scale.tenants_10k": Goal("an execution for each of 10,000 tenants in turns / for one", at_most=1.2),
    "scale.modules_1k": Goal("an execution of each of 1,000 modules in turns / of one", at_most=1.2),
    "scale.suspended_10k": Goal("an execution next to 10,000 suspended guests / alone", at_most=1.2),
    "scale.bodies_8m": Goal("a KB of a body of 8 MiB / of 64 KiB", at_most=1.2),
    "http.vs_bare_asgi": Goal("/v1/execute a second on one core / a bare ASGI echo on h11", at_least=0.15),
    "http.vs_wasmtime_threads": Goal(
        "the same / wasmtime-py in threads behind uvicorn with httptools and uvloop", at_least=1
    ),
    "http.vs_extism_isolated": Goal(
        "the same / Extism with a fresh plugin for each request, in threads or not, as is faster",
        at_least=1.3,
    ),
    "http.vs_fastapi_extism": Goal("the same / FastAPI and Extism with a fresh plugin", at_least=2),
    "http.vs_bare_httptools": Goal("the same / a bare ASGI echo on httptools and uvloop", at_least=0.2),
    "http_hostcall.vs_bare_httptools": Goal(
        "the same with a scheduler call that is forwarded, / that echo", at_least=0.1
    ),
    "leak.kb_per_200k": Goal("resident KB that 200,000 executions of a kind leave, the worst kind"),
    "server.create_rps": Goal(
        "schedules created a second over HTTP, 32 concurrently, with 1,000 installs", at_least=800
    ),
    "server.list_rps": Goal("lists of ten schedules a second, likewise", at_least=2_000),
    "server.fire_10k_s": Goal(
        "seconds in which four processes fire 10,000 schedules due in one minute", at_most=8
    ),
    "server.fire_10k_twice": Goal("of these, fired twice", at_most=0),
    "server.fire_10k_lost": Goal("of these, not fired", at_most=0),
    "server_postgres.create_rps": Goal("schedules created a second, on PostgreSQL on the same two cores"),
    "server_postgres.list_rps": Goal("lists of ten schedules a second, likewise"),
    "server_postgres.fire_10k_s": Goal("seconds in which the 10,000 are fired, likewise", at_most=10),
    "server_postgres.fire_10k_twice": Goal("of these, fired twice", at_most=0),
    "server_postgres.fire_10k_lost": Goal("of these, not fired", at_most=0),
}
