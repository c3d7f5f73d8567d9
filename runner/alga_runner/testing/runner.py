"""A runner that keeps what its service only answers with: how each execution went, log and host calls included.

One runner for many embedded servers, one after the other: what was compiled stays compiled.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass
from types import TracebackType
from typing import Self

from ..alga import AlgaServer
from ..alga.connect import NoAlgaServer
from ..bundles import Bundle, BundleSource, MemoryBundles
from ..models import ExecuteRequest, ExecuteResponse, ExecutionLimits
from ..runner import Observation, Runner
from ..settings import Settings
from .scripted import Relay


@dataclass(slots=True)
class Watched:
    """One call from this process: how long its execution may take, and how it went if there was one."""

    timeout_ms: int | None = None
    observation: Observation | None = None


_watched: ContextVar[Watched | None] = ContextVar("watched", default=None)


@contextmanager
def watch(timeout_ms: int | None = None) -> Iterator[Watched]:
    """Whatever is executed for what happens inside is kept in what this gives. Calls at once do not mix."""
    watched = Watched(timeout_ms)
    token = _watched.set(watched)
    try:
        yield watched
    finally:
        _watched.reset(token)


class ObservedRunner(Runner):
    """A runner whose executions are kept: for who watches them, or else until ``take`` asks by request id.

    How long an execution may take is for who watches and this runner's settings to say, not for the server: what is
    under test is one extension on one machine.
    """

    def __init__(
        self,
        settings: Settings | None,
        *,
        alga: AlgaServer,
        bundles: BundleSource,
        clock_ns: Callable[[], int],
    ) -> None:
        super().__init__(settings, alga=alga, bundles=bundles, clock_ns=clock_ns)
        self._kept: dict[str | None, Observation] = {}

    async def execute(self, request: ExecuteRequest) -> ExecuteResponse:
        """The response, as of every runner."""
        watched = _watched.get()
        limits = ExecutionLimits(timeout_ms=watched.timeout_ms if watched else None)
        observation = await self.observe(request.model_copy(update={"limits": limits}))
        if watched is not None:
            watched.observation = observation
        else:
            self._kept[request.context.request_id] = observation
        if observation.error is not None:
            raise observation.error
        assert observation.response is not None  # noqa: S101 - an execution has a response or an error
        return observation.response

    def take(self, request_id: str) -> Observation | None:
        """How the execution of that request went; ``None`` if there was none. It is not kept any longer."""
        return self._kept.pop(request_id, None)

    def forget(self) -> None:
        """Keep nothing of what was executed so far."""
        self._kept.clear()


class SharedRunner:
    """A runner that is lent out. Use it as ``async with SharedRunner(settings) as shared``.

    Whoever borrows it brings the server, the bundles and the clock, and takes them along; there is one borrower at a
    time.
    """

    def __init__(self, settings: Settings | None = None) -> None:
        self._alga = Relay(NoAlgaServer())
        self._bundles = _RelayedBundles()
        self._clock_ns: Callable[[], int] = time.time_ns
        self._lent = False
        self._runner = ObservedRunner(settings, alga=self._alga, bundles=self._bundles, clock_ns=self._now_ns)

    async def __aenter__(self) -> Self:
        """Start the runner. Raises ``EngineUnavailable``."""
        await self._runner.__aenter__()
        return self

    async def __aexit__(
        self,
        exc_type: type[BaseException] | None,
        exc: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        await self._runner.__aexit__(exc_type, exc, traceback)

    @contextmanager
    def lend(
        self, alga: AlgaServer, bundles: BundleSource, clock_ns: Callable[[], int]
    ) -> Iterator[ObservedRunner]:
        """The runner, working with these parts. Raises ``RuntimeError`` while somebody else has it."""
        if self._lent:
            raise RuntimeError("the runner is lent already")
        self._lent = True
        self._alga.server, self._bundles.source, self._clock_ns = alga, bundles, clock_ns
        try:
            yield self._runner
        finally:
            self._lent = False
            self._runner.forget()
            self._alga.server, self._bundles.source = NoAlgaServer(), MemoryBundles()
            self._clock_ns = time.time_ns

    def _now_ns(self) -> int:
        return self._clock_ns()


class _RelayedBundles(BundleSource):
    """Whatever the borrower's source has."""

    def __init__(self) -> None:
        self.source: BundleSource = MemoryBundles()

    async def fetch(self, tenant_id: str, extension_id: str, content_hash: str) -> Bundle:
        return await self.source.fetch(tenant_id, extension_id, content_hash)
