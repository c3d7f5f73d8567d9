"""Components in several threads, each with an event loop and a runner of its own, that end and are ended in every way.

Threads share the engine, the thread for computing guests and the compiler's process. Each response has a nonce that its
own request alone had.
"""

from __future__ import annotations

import asyncio
import threading
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field
from random import Random

import anyio.lowlevel

from alga_runner import ExecuteRequest, Observation, Runner, Settings
from alga_runner.alga import Identity, NoAlgaServer
from alga_runner.bundles import MemoryBundles
from alga_runner.engine import FunctionType, ValueType, engine_context
from alga_runner.errors import HostCallCode, HostCallError
from alga_runner.models import ScheduleInfo
from tests.support.bundles import make_bundle
from tests.support.component_relay import LIBC
from tests.support.component_world import OK, WORLD, world_component
from tests.support.components import with_realloc

IN_FLIGHT = 8
"""Concurrent executions of a thread."""

MAX_DESCRIBED = 5
SPIN = "(loop (br 0))"
TEXT = ValueType("string")
INFO = ValueType("record", (("id", TEXT),))


def listing(element: ValueType) -> Mapping[str, FunctionType]:
    result = ValueType("result", element=element, error=WORLD.types["scheduler-error"])
    return {"scheduler list-schedules": FunctionType((), result)}


LISTS = listing(ValueType("list", element=INFO))
CALL = "(call $scheduler.list-schedules (i32.const 512))"
ANSWER = f"""{CALL}
  (if (i32.load8_u (i32.const 512)) (then (i32.store16 (i32.const 0) (i32.const 500)) (return (i32.const 0))))
  (i32.store16 (i32.const 0) (i32.const 200)) (i32.store (i32.const 12) (i32.const 1))
  (i32.store (i32.const 16) (i32.load (i32.load (i32.const 516))))
  (i32.store (i32.const 20) (i32.load offset=4 (i32.load (i32.const 516)))) (i32.const 0)"""
COMPUTE = """(local $n i32) (local.set $n (i32.const 3000000))
  (loop (br_if 0 (local.tee $n (i32.sub (local.get $n) (i32.const 1)))))"""


@dataclass(frozen=True)
class Kind:
    """One way to end: the component, the ``ending`` that is right, and the work done meanwhile."""

    component: bytes
    ending: str
    limits: Mapping[str, int] = field(default_factory=dict)
    silent: bool = False
    refused: bool = False
    also: str = ""
    """An ending that is right, too."""


BREACHING = world_component(OK, libc=with_realloc(LIBC, "i32.const -1"))
KINDS = {
    "answers": Kind(world_component(ANSWER, LISTS), "its own"),
    "computes-and-answers": Kind(world_component(COMPUTE + ANSWER, LISTS), "its own"),
    "host-error": Kind(world_component(ANSWER, LISTS), "500", refused=True),
    "traps": Kind(world_component(f"{CALL} unreachable", LISTS), "guest_trap"),
    "traps-after-it-returned": Kind(world_component(post_return="unreachable"), "guest_trap"),
    "breaches": Kind(BREACHING, "canonical_abi_breach"),
    "drifted": Kind(world_component(CALL + OK, listing(ValueType("u32"))), "host_function_missing"),
    "deadline-in-a-host-call": Kind(
        world_component(ANSWER, LISTS), "deadline_exceeded", {"timeout_ms": 20}, silent=True, also="500"
    ),  # a call that begins after the deadline is refused
    "deadline": Kind(world_component(SPIN + OK), "deadline_exceeded", {"timeout_ms": 20}),
    "cpu-limit": Kind(world_component(SPIN + OK), "cpu_limit", {"cpu_ms": 2}),
    "cpu-limit-after-it-returned": Kind(world_component(post_return=SPIN), "cpu_limit", {"cpu_ms": 2}),
}
_TIME = {"timeout_ms": 300_000, "cpu_ms": 60_000}


class Server(NoAlgaServer):
    """Answers a request with its own id, or not at all, or with an error."""

    async def list_schedules(self, identity: Identity, deadline: float) -> list[ScheduleInfo]:
        nonce = identity.request_id or ""
        kind = KINDS[nonce.partition("/")[0]]
        if kind.silent and not nonce.endswith("/warm-up"):
            await asyncio.get_running_loop().create_future()
        for _ in range(len(nonce) % 3):
            await anyio.lowlevel.checkpoint()
        if kind.refused:
            raise HostCallError(HostCallCode.QUOTA_EXCEEDED, "No more.")
        return [
            ScheduleInfo(
                id=nonce,
                endpoint_path="/",
                endpoint_method="GET",
                cron="* * * * *",
                timezone="UTC",
                enabled=True,
            )
        ]


@dataclass
class Outcome:
    """How many executions ended how, and the first of the wrong ones in words."""

    endings: Counter[str] = field(default_factory=Counter)
    wrong: int = 0
    faults: list[str] = field(default_factory=list)

    def note(self, nonce: str, ending: str, right: tuple[str, ...]) -> None:
        self.endings[ending] += 1
        if ending not in right:
            self.wrong += 1
            if len(self.faults) < MAX_DESCRIBED:
                self.faults.append(f"{nonce}: {ending}")

    def add(self, other: Outcome) -> None:
        self.endings += other.endings
        self.wrong += other.wrong
        self.faults += other.faults


def storm(threads: int, executions: int, seed: int) -> Outcome:
    """Carry out so many ``executions`` in all."""
    outcomes = [Outcome() for _ in range(threads)]
    running = [
        threading.Thread(
            target=_in_thread, args=(outcome, executions // threads, seed + number, number, threads)
        )
        for number, outcome in enumerate(outcomes)
    ]
    for thread in running:
        thread.start()
    for thread in running:
        thread.join()
    whole = Outcome()
    for outcome in outcomes:
        whole.add(outcome)
    live = sum(engine.ticker.live for engine in engine_context._engines.values())
    if live:
        whole.note("all", f"{live} guests left", ())
    return whole


def _in_thread(outcome: Outcome, executions: int, seed: int, number: int, threads: int) -> None:
    try:
        asyncio.run(_Thread(outcome, executions, Random(seed), number, threads).run())
    except BaseException as error:  # noqa: BLE001 - a thread's exception would be printed and forgotten
        outcome.note(f"thread {number}", repr(error), ())


class _Thread:
    def __init__(self, outcome: Outcome, executions: int, random: Random, number: int, threads: int) -> None:
        self._guests = threads * IN_FLIGHT  # of the engine, which all share
        self._outcome = outcome
        self._left = executions
        self._random = random
        self._tenant = f"tenant-{number}"
        self._bundles = MemoryBundles()
        self._hashes = {name: self._bundles.add(make_bundle(kind.component)) for name, kind in KINDS.items()}

    async def run(self) -> None:
        settings = Settings(
            max_guests=self._guests, max_guests_per_tenant=IN_FLIGHT, max_memory_mb=4, log_level="error"
        )
        async with Runner(settings, bundles=self._bundles, alga=Server()) as runner:
            for name in KINDS:  # loads it: a short deadline is not to pass before
                await runner.observe(self._request(name, f"{name}/warm-up", {"cpu_ms": 1}))
            await asyncio.gather(*(self._executions(runner) for _ in range(IN_FLIGHT)))

    async def _executions(self, runner: Runner) -> None:
        while self._left > 0:
            self._left -= 1
            name = self._random.choice(list(KINDS))
            kind, nonce = KINDS[name], f"{name}/{self._tenant}/{self._left}"
            killed_after = self._random.randrange(40) if self._random.random() < 0.2 else None
            observed = await _observe(runner, self._request(name, nonce, kind.limits), killed_after)
            right = (kind.ending, kind.also, "" if killed_after is None else "cancelled")
            self._outcome.note(nonce, _ending(observed, nonce), right)

    def _request(self, name: str, nonce: str, limits: Mapping[str, int]) -> ExecuteRequest:
        return ExecuteRequest.model_validate(
            {
                "context": {
                    "tenant_id": self._tenant,
                    "extension_id": "com.example.storm",
                    "install_id": "install-1",
                    "request_id": nonce,
                    "content_hash": self._hashes[name],
                },
                "http": {"method": "GET", "path": "/"},
                "limits": _TIME | dict(limits),
                "providers": ["cap:scheduler.manage"],
            }
        )


async def _observe(runner: Runner, request: ExecuteRequest, killed_after: int | None) -> Observation | None:
    """How it went; ``None`` if it was cancelled after so many turns of the loop."""
    if killed_after is None:
        return await runner.observe(request)
    task = asyncio.ensure_future(runner.observe(request))
    for _ in range(killed_after):
        await anyio.lowlevel.checkpoint()
    task.cancel()
    try:
        return await task
    except asyncio.CancelledError:
        return None


def _ending(observed: Observation | None, nonce: str) -> str:
    if observed is None:
        return "cancelled"
    if observed.error is not None:
        return observed.error.code
    assert observed.response is not None
    if observed.response.status != 200 or observed.response.body() is None:
        return str(observed.response.status)
    return "its own" if observed.response.body() == nonce.encode() else "another's"
