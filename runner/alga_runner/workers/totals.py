"""What all workers counted, those that are gone too, so that no counter ever goes back."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Collection, Iterable
from time import monotonic

import anyio

from ..telemetry.exposition import Family, Snapshot, add_up, without_gauges
from ..telemetry.metrics import FAMILIES
from .process import WorkerProcess

PATIENCE_S = 2.0
"""How long the workers have to say what they counted. Of one that does not, what it said last is taken."""

READY = Family("alga_runner_workers", "gauge", "Workers that answer.")
ENDED = Family(
    "alga_runner_workers_ended_total", "counter", "Worker processes that were replaced, by why.", ("why",)
)
RESIDENT = Family(
    "alga_runner_worker_resident_bytes", "gauge", "Resident memory of a worker process.", ("worker",)
)

WORKER_FAMILIES = (READY, ENDED, RESIDENT)


class Totals:
    """The sum over ``workers``, which is asked who there is now, and over those that are gone."""

    def __init__(self, workers: Callable[[], Collection[WorkerProcess]]) -> None:
        self._workers = workers
        self._gone: Snapshot = {}
        self._ended: Counter[str] = Counter()
        self._asking = anyio.Lock()
        self._asked_at = -1.0
        self._sum: Snapshot = {}

    def replaced(self, why: str) -> None:
        """A worker makes, or made, room for another: ``memory``, ``asked`` or ``crash``."""
        self._ended[why] += 1

    def retire(self, worker: WorkerProcess) -> None:
        """``worker`` is gone; what it counted stays."""
        self._gone = add_up([self._gone, without_gauges(FAMILIES, worker.counted)])

    async def now(self) -> Snapshot:
        """The sum of what each has counted up to the moment of asking, within about ``PATIENCE_S`` seconds.

        Those who ask while others wait get the same sum, if that was begun after they asked.
        """
        asked_at = monotonic()
        async with self._asking:
            if self._asked_at < asked_at:
                self._asked_at = monotonic()
                self._sum = await self._add_up()
            return self._sum

    async def _add_up(self) -> Snapshot:
        with anyio.move_on_after(PATIENCE_S):
            async with anyio.create_task_group() as tasks:
                for worker in self._workers():
                    tasks.start_soon(worker.measure)
        workers = self._workers()
        return add_up([self._gone, *(worker.counted for worker in workers), self._own(workers)])

    def _own(self, workers: Iterable[WorkerProcess]) -> Snapshot:
        resident: Counter[int] = Counter()
        for worker in workers:
            resident[worker.number] += worker.resident
        return {
            READY.name: [([], [len({worker.number for worker in workers if worker.answers})])],
            ENDED.name: [([why], [count]) for why, count in self._ended.items()],
            RESIDENT.name: [([str(number)], [size]) for number, size in sorted(resident.items())],
        }
