"""Soak of components: 10,000 executions of each ending, one after the other; prints the memory that each left.

Then executions of every kind in six threads, each with an event loop and a runner of its own, some of them cancelled.
"""

from __future__ import annotations

import argparse
import asyncio
import gc
import secrets
import sys
from collections import Counter
from contextlib import suppress

from alga_runner import ExecuteRequest, Runner, Settings
from alga_runner.alga import Identity, NoAlgaServer
from alga_runner.bundles import MemoryBundles
from alga_runner.engine import FunctionType, ValueType
from alga_runner.errors import AlgaError
from alga_runner.models import ScheduleInfo
from alga_runner.models.execute import ExecutionLimits
from tests.support.bundles import make_bundle
from tests.support.component_relay import LIBC
from tests.support.component_world import OK, WORLD, world_component
from tests.support.components import with_realloc

from .component_threads import storm
from .resident import resident_kb

_WARM_ROUNDS = 4
"""Rounds of threads after which malloc's arenas, one for each thread, have what they keep."""

SPIN = "(loop (br 0))"
LIST = "scheduler list-schedules"
CALLS = "(call $scheduler.list-schedules (i32.const 512))"
BODY = """(i32.store16 (i32.const 0) (i32.const 200)) (i32.store (i32.const 12) (i32.const 1))
  (i32.store (i32.const 16) (i32.const 1024)) (i32.store (i32.const 20) (i32.const 60000)) (i32.const 0)"""
DRIFTED = {
    LIST: FunctionType(
        (), ValueType("result", element=ValueType("u32"), error=WORLD.types["scheduler-error"])
    )
}

ENDINGS: dict[str, tuple[bytes, str, dict[str, int]]] = {
    "response": (world_component(CALLS + OK, [LIST]), "ok", {}),
    "large response": (world_component(BODY), "ok", {}),
    "trap": (world_component("unreachable"), "guest_trap", {}),
    "trap after return": (world_component(BODY, post_return="unreachable"), "guest_trap", {}),
    "breach": (world_component(OK, libc=with_realloc(LIBC, "i32.const -1")), "canonical_abi_breach", {}),
    "missing function": (
        world_component("(call $scheduler.no)" + OK, {"scheduler no": FunctionType()}),
        "host_function_missing",
        {},
    ),
    "late misfit": (world_component(CALLS + OK, DRIFTED), "host_function_missing", {}),
    "deadline in a host call": (
        world_component(CALLS + SPIN + OK, [LIST]),
        "deadline_exceeded",
        {"timeout_ms": 1},
    ),
    "cancelled in a host call": (world_component(CALLS + OK, [LIST]), "cancelled", {}),
    "cpu limit": (world_component(SPIN + OK), "cpu_limit", {"cpu_ms": 1}),
    "cpu limit after return": (world_component(BODY, post_return=SPIN), "cpu_limit", {"cpu_ms": 1}),
}
"""By name: the component, the code it ends with, and the limits that it is given."""


class Server(NoAlgaServer):
    """Answers with no schedules, unless it is ``silent``."""

    silent = False

    def __init__(self) -> None:
        self.asked = asyncio.Event()

    async def list_schedules(self, identity: Identity, deadline: float) -> list[ScheduleInfo]:
        self.asked.set()
        if self.silent:
            await asyncio.get_running_loop().create_future()
        return []


def main() -> int:
    """0 when every execution ended as it should and left no memory."""
    parser = argparse.ArgumentParser(prog="python -m tests.stress.components", description=__doc__)
    parser.add_argument(
        "--executions", type=int, default=10_000, help="of each ending (default: %(default)s)"
    )
    parser.add_argument("--max-kb", type=int, default=512, help="that may be left (default: %(default)s)")
    parser.add_argument("--threads", type=int, default=6, help="default: %(default)s")
    parser.add_argument(
        "--in-threads", type=int, default=30_000, help="executions of all threads (default: %(default)s)"
    )
    parser.add_argument("--seed", type=int, default=secrets.randbits(32), help="default: a new one")
    options = parser.parse_args()
    faults = []
    if options.executions:
        faults += asyncio.run(_all(options.executions, options.max_kb))
    faults += _in_threads(options.threads, options.in_threads, options.seed, options.max_kb)
    for fault in faults:
        sys.stdout.write(f"{fault}\n")
    return int(bool(faults))


async def _all(executions: int, max_kb: int) -> list[str]:
    server, bundles, faults = Server(), MemoryBundles(), []
    settings = Settings(max_guests=8, max_memory_mb=4, log_level="error")
    async with Runner(settings, bundles=bundles, alga=server) as runner:
        for name, (component, code, limits) in ENDINGS.items():
            document = {
                "context": {
                    "tenant_id": "acme",
                    "extension_id": "ext",
                    "install_id": "install-1",
                    "content_hash": bundles.add(make_bundle(component)),
                },
                "http": {"method": "GET", "path": "/"},
                "limits": limits,
                "providers": ["cap:scheduler.manage"],
            }
            request = ExecuteRequest.model_validate(document)
            short = code != "deadline_exceeded"
            await runner.observe(
                request if short else request.model_copy(update={"limits": ExecutionLimits()})
            )
            server.silent = code in ("deadline_exceeded", "cancelled")
            for _ in range(min(500, executions)):
                await _one(runner, request, server, code)
            before = resident_kb()
            wrong = 0
            for _ in range(executions):
                wrong += await _one(runner, request, server, code) != code
            left = resident_kb() - before
            server.silent = False
            sys.stdout.write(f"{name:26} {executions:,} executions, {wrong} wrong, {left:,} KB left\n")
            sys.stdout.flush()
            if wrong or left > max_kb:
                faults.append(f"{name}: {wrong} wrong, {left} KB left")
    return faults


def _in_threads(threads: int, executions: int, seed: int, max_kb: int) -> list[str]:
    warm = [storm(threads, executions // 2 // _WARM_ROUNDS, seed + number) for number in range(_WARM_ROUNDS)]
    gc.collect()
    before = resident_kb()
    outcomes = [*warm, storm(threads, executions // 2, seed + _WARM_ROUNDS)]
    gc.collect()
    left = resident_kb() - before
    endings = sum((outcome.endings for outcome in outcomes), Counter[str]())
    wrong = sum(outcome.wrong for outcome in outcomes)
    shown = ", ".join(f"{ending} {count:,}" for ending, count in sorted(endings.items()))
    sys.stdout.write(
        f"{threads} threads: {executions:,} executions, {wrong} wrong, {left:,} KB left; {shown}\n"
    )
    faults = [fault for outcome in outcomes for fault in outcome.faults]
    if left > max_kb * threads:
        faults.append(f"{threads} threads: {left} KB left")
    return [f"{fault} (--seed {seed})" for fault in faults]


async def _one(runner: Runner, request: ExecuteRequest, server: Server, code: str) -> str:
    """Carry one execution out; the code that it ended with."""
    if code == "cancelled":
        server.asked.clear()
        task = asyncio.ensure_future(runner.execute(request))
        async with asyncio.timeout(10):
            await server.asked.wait()
        task.cancel()
        with suppress(asyncio.CancelledError):
            await task
        return "cancelled" if task.cancelled() else "ok"
    try:
        await runner.execute(request)
    except AlgaError as error:
        return error.code
    return "ok"


if __name__ == "__main__":
    sys.exit(main())
