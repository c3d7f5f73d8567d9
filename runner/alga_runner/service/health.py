"""Health, readiness and metrics, of this process and the others behind its port."""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import dataclass

import anyio
from prometheus_client import CONTENT_TYPE_LATEST
from pydantic_core import to_json

from ..runner import Runner
from ..telemetry import Telemetry
from .http import Answer, Exchange
from .request_tracker import RequestTracker

PATIENCE_S = 1.0
"""How long a probe waits for the bundle store (alga-contract 2) and, where it asks it, for the Alga server."""


@dataclass(frozen=True, slots=True)
class ReadyWorkers:
    """How many workers answer, of how many there should be."""

    ready: int
    of: int


class Peers(ABC):
    """This process and the others behind its port."""

    @property
    @abstractmethod
    def workers(self) -> ReadyWorkers | None:
        """How many there are; ``None`` for a process that serves alone."""

    @abstractmethod
    async def metrics(self) -> bytes:
        """The sum of their metrics, in Prometheus' text form. Raises ``Refused`` 503 when it is not available."""


class NoPeers(Peers):
    """One process that serves alone."""

    def __init__(self, telemetry: Telemetry) -> None:
        self._telemetry = telemetry

    @property
    def workers(self) -> None:
        """There are no workers."""
        return None

    async def metrics(self) -> bytes:
        """The metrics of this process."""
        return self._telemetry.render()


class Health:
    """``/healthz``, ``/readyz`` and ``/metrics``. None of them requires a token."""

    def __init__(self, runner: Runner, requests: RequestTracker, peers: Peers) -> None:
        self._runner = runner
        self._requests = requests
        self._peers = peers

    async def alive(self, _exchange: Exchange) -> Answer:
        """200 as long as the process answers; it reports an unreachable store (alga-contract 2)."""
        store = "ok" if await self._store_reachable() else "bundle_store_unreachable"
        return Answer(200, to_json({"status": "ok", "bundle_store": store} | self._workers()))

    async def ready(self, _exchange: Exchange) -> Answer:
        """200 when an execute request would be carried out, else 503; ``checks`` names the failed ones.

        Each of several workers answers for itself: the one that gets a request executes it.
        """
        checks = {
            "engine": "ok" if self._runner.running else "not_running",
            "bundle_store": "ok" if await self._store_reachable() else "bundle_store_unreachable",
            "server_token": "refused" if await self._runner.server_refuses_token(PATIENCE_S) else "ok",
            "accepting": "draining" if self._requests.draining else "ok",
        }
        ready = all(check == "ok" for check in checks.values())
        document = {"status": "ready" if ready else "not_ready", "checks": checks}
        return Answer(200 if ready else 503, to_json(document | self._workers()))

    async def metrics(self, _exchange: Exchange) -> Answer:
        """The metrics of all workers, in Prometheus' text form."""
        return Answer(200, await self._peers.metrics(), content_type=CONTENT_TYPE_LATEST.encode())

    def _workers(self) -> dict[str, dict[str, int]]:
        workers = self._peers.workers
        return {} if workers is None else {"workers": {"ready": workers.ready, "of": workers.of}}

    async def _store_reachable(self) -> bool:
        with anyio.move_on_after(PATIENCE_S):
            return await self._runner.bundle_store_reachable()
        return False
