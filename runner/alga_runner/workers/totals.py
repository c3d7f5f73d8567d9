"""The metrics of all workers, those that ended included, so that no counter goes back."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Collection, Iterable
from time import monotonic

import anyio

from ..telemetry.exposition import Family, Snapshot, add_up, without_gauges
from ..telemetry.metrics import FAMILIES
from .process import WorkerProcess

MEASURE_TIMEOUT_S = 2.0
"""How long the workers have to send their metrics. Of one that does not, the last known ones count."""

READY = Family("alga_runner_workers", "gauge", "Workers that answer.")
ENDED = Family(
    "alga_runner_workers_ended_total", "counter", "Worker processes that were replaced, by why.", ("why",)
)
RESIDENT = Family(
    "alga_runner_worker_resident_bytes", "gauge", "Resident memory of a worker process.", ("worker",)
)

WORKER_FAMILIES = (READY, ENDED, RESIDENT)


class Totals:
    """The sum over ``workers``, which returns the current ones, and over those that ended."""

    def __init__(self, workers: Callable[[], Collection[WorkerProcess]]) -> None:
        self._workers = workers
        self._ended: Snapshot = {}
        self._replacements: Counter[str] = Counter(dict.fromkeys(("crash", "memory", "asked"), 0))
        self._measuring = anyio.Lock()
        self._measured_at = -1.0
        self._sum: Snapshot = {}

    def count_replacement(self, why: str) -> None:
        """Count the replacement of a worker: ``memory``, ``asked`` or ``crash``."""
        self._replacements[why] += 1

    def keep(self, worker: WorkerProcess) -> None:
        """Keep the counters of a ``worker`` that ended."""
        self._ended = add_up([self._ended, without_gauges(FAMILIES, worker.snapshot)])

    async def collect(self) -> Snapshot:
        """The current sum, within about ``MEASURE_TIMEOUT_S`` seconds.

        Concurrent callers share a sum that was begun after all of them called.
        """
        called_at = monotonic()
        async with self._measuring:
            if self._measured_at < called_at:
                self._measured_at = monotonic()
                self._sum = await self._add_up()
            return self._sum

    async def _add_up(self) -> Snapshot:
        with anyio.move_on_after(MEASURE_TIMEOUT_S):
            async with anyio.create_task_group() as tasks:
                for worker in self._workers():
                    tasks.start_soon(worker.measure)
        workers = self._workers()
        return add_up([self._ended, *(worker.snapshot for worker in workers), self._own(workers)])

    def _own(self, workers: Iterable[WorkerProcess]) -> Snapshot:
        resident: Counter[int] = Counter()
        for worker in workers:
            resident[worker.number] += worker.resident
        return {
            READY.name: [([], [len({worker.number for worker in workers if worker.answers})])],
            ENDED.name: [([why], [count]) for why, count in self._replacements.items()],
            RESIDENT.name: [([str(number)], [size]) for number, size in sorted(resident.items())],
        }
