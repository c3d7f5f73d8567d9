"""Guests that compute, and how late the event loop is meanwhile."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import AbstractAsyncContextManager, asynccontextmanager, suppress
from pathlib import Path
from time import perf_counter
from typing import Any, Self

import anyio

from alga_runner import ExecuteRequest, Runner
from alga_runner.bundles import Bundle, MemoryBundles
from alga_runner.errors import DeadlineExceeded

from ..child import Counts, Work, WrongAnswer
from .started import Started
from .workload import GUESTS, alga_guest, works
from .workload import Work as Task

GUESTS_AT_ONCE = 50
PROBE_S = 0.001
_SCHEDULED = Path("/proc/thread-self/schedstat")
FOREVER = 10**9
"""Thousands of rounds: longer than any deadline."""
BURST_ROUNDS = 4_000
"""Thousands of rounds of one guest of a burst: some milliseconds."""


class Lag:
    """How late a timer of ``PROBE_S`` was, and how long a light execution took, each time.

    ``own_ms`` leaves out the time for which other processes had the cores, so that a busy machine does not hide what a
    process does to itself.
    """

    def __init__(self) -> None:
        self.late_ms: list[float] = []
        self.own_ms: list[float] = []
        self.light_ms: list[float] = []
        self.executed = anyio.Event()
        """A light execution ended: a busy machine may take long to the first."""

    def counts(self, prefix: str) -> dict[str, float]:
        """Percentiles."""
        return {
            f"{prefix}_p50_ms": _percentile(self.late_ms, 0.5),
            f"{prefix}_p99_ms": _percentile(self.late_ms, 0.99),
            f"{prefix}_max_ms": max(self.late_ms),
            f"{prefix}_own_p99_ms": _percentile(self.own_ms, 0.99),
            f"{prefix}_own_max_ms": max(self.own_ms),
            f"{prefix}_samples": len(self.late_ms),
            f"{prefix}_light_p50_ms": _percentile(self.light_ms, 0.5),
            f"{prefix}_light_p99_ms": _percentile(self.light_ms, 0.99),
            f"{prefix}_light_executions": len(self.light_ms),
        }


class Fairness(Started):
    """An order names ``seconds`` and ``bursts``: first no guests, then fifty that spin, then bursts of fifty."""

    async def __aenter__(self) -> Self:
        self._bundles = MemoryBundles()
        self._light = self._bundles.add(alga_guest())
        self._runner = await self.start(None, self._bundles)
        return self

    async def prepare(self, order: Mapping[str, Any]) -> Work:
        """Load a module for each burst: what a module's guests did before decides where they start."""
        seconds: float = order["seconds"]
        self._light_tasks = works("/echo", self._light)
        spinning = await self._module(b"spinning")
        bursts = [await self._module(b"burst %d" % number) for number in range(order["bursts"])]

        async def run() -> Counts:
            quiet = await self._quiet(seconds / 2)
            spun, killed = await self._spinning(spinning, seconds)
            burst, finished, worst_ms = await self._bursts(bursts)
            return {
                "done": 1,
                **quiet.counts("quiet"),
                **spun.counts("spinning"),
                **burst.counts("burst"),
                "spinning_killed": killed,
                "burst_finished": finished,
                "burst_worst_median_ms": _percentile(worst_ms, 0.5),
            }

        return run

    async def _module(self, name: bytes) -> str:
        """The guest under a hash of its own: a custom section is added, which changes nothing."""
        wasm = (GUESTS / "alga.wasm").read_bytes()
        section = bytes([len(name)]) + name
        module = wasm + b"\0" + bytes([len(section)]) + section
        content_hash = self._bundles.add(Bundle.from_files({"dist/main.wasm": module}))
        await self._check(works("/echo", content_hash)[0])
        return content_hash

    async def _check(self, task: Task) -> None:
        await check(self._runner, task)

    async def _quiet(self, seconds: float) -> Lag:
        async with self._probed() as lag:
            await anyio.sleep(seconds)
        return lag

    async def _spinning(self, content_hash: str, seconds: float) -> tuple[Lag, int]:
        """Fifty that spin until their deadline, all the while."""
        killed = 0
        document = works(f"/compute/{FOREVER}", content_hash)[0].document
        limits = {"timeout_ms": round(seconds * 1000), "cpu_ms": 60_000}
        request = ExecuteRequest.model_validate({**document, "limits": limits})

        async def spin() -> None:
            nonlocal killed
            try:
                await self._runner.execute(request)
            except DeadlineExceeded:
                killed += 1

        async with anyio.create_task_group() as spinners:
            for _ in range(GUESTS_AT_ONCE):
                spinners.start_soon(spin)
            async with self._probed() as lag:
                await anyio.sleep(seconds * 0.9)
        return lag, killed

    async def _bursts(self, hashes: list[str]) -> tuple[Lag, int, list[float]]:
        """Fifty that arrive together, of a module that never computed before; watches the loop until all are done."""
        lag, finished, worst_ms = Lag(), 0, []
        for content_hash in hashes:
            task = works(f"/compute/{BURST_ROUNDS}", content_hash)[0]

            async def compute(task: Task = task) -> None:
                nonlocal finished
                await self._check(task)
                finished += 1

            before = len(lag.late_ms)
            async with self._probed(lag):
                await anyio.sleep(0.01)
                async with anyio.create_task_group() as burst:
                    for _ in range(GUESTS_AT_ONCE):
                        burst.start_soon(compute)
            worst_ms.append(max(lag.late_ms[before:]))
        return lag, finished, worst_ms

    def _probed(self, lag: Lag | None = None) -> AbstractAsyncContextManager[Lag]:
        return probed(self._runner, self._light_tasks, lag)


@asynccontextmanager
async def probed(runner: Runner, tasks: Sequence[Task], lag: Lag | None = None) -> AsyncIterator[Lag]:
    """A timer and one of the light ``tasks`` now and then, while entered."""
    lag = lag or Lag()
    async with anyio.create_task_group() as probes:
        probes.start_soon(_watch, lag)
        probes.start_soon(_execute_lightly, runner, tasks, lag)
        yield lag
        await lag.executed.wait()
        probes.cancel_scope.cancel()


async def check(runner: Runner, task: Task) -> None:
    """Execute ``task``. Raises ``WrongAnswer``."""
    response = await runner.execute(ExecuteRequest.model_validate(task.document))
    if response.body() != task.answer:
        raise WrongAnswer(response)


async def _execute_lightly(runner: Runner, tasks: Sequence[Task], lag: Lag) -> None:
    number = 0
    while True:
        task = tasks[number % len(tasks)]
        number += 1
        started = perf_counter()
        await check(runner, task)
        lag.light_ms.append((perf_counter() - started) * 1000)
        lag.executed.set()
        await asyncio.sleep(0.005)


async def _watch(lag: Lag) -> None:
    loop = asyncio.get_running_loop()
    while True:
        due, waited_s = loop.time() + PROBE_S, _waited_s()
        await asyncio.sleep(PROBE_S)
        late_s = loop.time() - due
        lag.late_ms.append(late_s * 1000)
        lag.own_ms.append(max(late_s - (_waited_s() - waited_s), 0.0) * 1000)


def _waited_s() -> float:
    """For how long this thread was ready to run and another had the core, since it began."""
    with suppress(FileNotFoundError):  # a kernel that does not count it
        return int(_SCHEDULED.read_text("ascii").split()[1]) / 1e9
    return 0.0


def _percentile(numbers: list[float], share: float) -> float:
    ordered = sorted(numbers)
    return ordered[min(len(ordered) - 1, int(len(ordered) * share))]
