"""Health, readiness and metrics, of this process and the others behind its port."""

from __future__ import annotations

import logging
from abc import ABC, abstractmethod
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from time import monotonic
from urllib.parse import parse_qs

from prometheus_client import CONTENT_TYPE_LATEST
from pydantic_core import to_json

from alga_common.readiness import NOT_CHECKED, OK, REFUSED, Check, Checks, Finding, document

from ..alga.port import SERVER_CHECK
from ..bundles.source import STORE_CHECK, UNREACHABLE
from ..runner import Runner
from ..telemetry import Telemetry
from .http import Answer, Exchange
from .request_tracker import RequestTracker

logger = logging.getLogger("alga_runner")

_CACHE_CHECK = "bundle_cache"


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


def checks_of(runner: Runner, clock: Callable[[], float] = monotonic) -> Checks:
    """Return what a runner needs of others to carry out executions: the bundle store and the Alga server."""

    async def store() -> list[Finding]:
        findings = list(await runner.check_bundle_store())
        return [_tolerated(finding) for finding in findings] if runner.bundles_outlive_store else findings

    return Checks(
        [
            Check(STORE_CHECK, "The bundle store", store),
            Check(SERVER_CHECK, "The Alga server", runner.check_server, of_peer=True),
        ],
        clock=clock,
    )


def _tolerated(finding: Finding) -> Finding:
    """``finding``, but no failure for a store that is down: it must not take the extensions in the cache with it."""
    if finding.code != UNREACHABLE:
        return finding
    return replace(
        finding, code=NOT_CHECKED, sentence=f"{finding.sentence} Bundles in the cache run without it."
    )


def cache_checks_of(runner: Runner, clock: Callable[[], float] = monotonic) -> Checks:
    """Return the check of the cache of bundles: a process that cannot write to it is to be restarted elsewhere."""

    async def cache() -> list[Finding]:
        writable = await runner.bundle_cache_writable()
        return [Finding(_CACHE_CHECK, OK if writable else "not_writable", "The cache of bundles was tried.")]

    return Checks([Check(_CACHE_CHECK, "The cache of bundles", cache)], clock=clock)


def log_failure(finding: Finding) -> None:
    """Log a check that failed at the start: an error for a wrong token, else a warning, as others may start later."""
    logger.log(
        logging.ERROR if finding.code == REFUSED else logging.WARNING,
        "Readiness check failed: %s",
        " ".join(filter(None, [finding.sentence, finding.hint])),
        extra={"action": "check_failed", "status": finding.code},
    )


class Health:
    """``/healthz``, ``/readyz``, ``/metrics`` and ``/v1/ping``. Only the last one requires a token."""

    def __init__(
        self, runner: Runner, requests: RequestTracker, peers: Peers, checks: Checks, cache: Checks
    ) -> None:
        self._runner = runner
        self._requests = requests
        self._peers = peers
        self._checks = checks
        self._cache = cache

    async def alive(self, _exchange: Exchange) -> Answer:
        """200 while bundles can be kept, else 503; it reports an unreachable store (alga-contract 2)."""
        codes = {finding.name: finding.code for finding in await self._checks.findings(own=True)}
        [cache] = await self._cache.findings()
        body = {
            "status": "failing" if cache.failed else "ok",
            "cache_writable": not cache.failed,
            "bundle_store": OK if codes[STORE_CHECK] == OK else UNREACHABLE,
            "ext_cache_max_bytes": self._runner.bundle_cache_max_bytes,
        }
        return Answer(503 if cache.failed else 200, to_json(body | self._workers()))

    async def ready(self, exchange: Exchange) -> Answer:
        """200 when an execute request and its host calls would be carried out, else 503 with the failed checks.

        ``?checks=own`` leaves out the Alga server. Each of several workers answers for itself: the one that gets a
        request executes it.
        """
        own = parse_qs(exchange.query).get(b"checks") == [b"own"]
        findings = [*self._local(), *await self._checks.findings(own=own)]
        body = document(findings, **self._workers())
        return Answer(200 if body["status"] == "ready" else 503, to_json(body))

    async def ping(self, _exchange: Exchange) -> Answer:
        """200 for a caller with the service's token; nothing else is checked."""
        return Answer(200, to_json({"status": "ok"}))

    async def metrics(self, _exchange: Exchange) -> Answer:
        """The metrics of all workers, in Prometheus' text form."""
        return Answer(200, await self._peers.metrics(), content_type=CONTENT_TYPE_LATEST.encode())

    def _local(self) -> Sequence[Finding]:
        """Return the checks of this process' own state, which cost nothing and are made anew each time."""
        engine = Finding("engine", OK, "The engine runs.")
        if not self._runner.running:
            engine = Finding("engine", "not_running", "The engine does not run.")
        accepting = Finding("accepting", OK, "Executions are accepted.")
        if self._requests.draining:
            accepting = Finding("accepting", "draining", "The runner is shutting down.")
        return engine, accepting

    def _workers(self) -> dict[str, dict[str, int]]:
        workers = self._peers.workers
        return {} if workers is None else {"workers": {"ready": workers.ready, "of": workers.of}}
