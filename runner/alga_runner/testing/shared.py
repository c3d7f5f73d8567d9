"""One runner for many embedded servers, one after the other: what was compiled stays compiled."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from types import TracebackType
from typing import Self

from ..alga import AlgaServer
from ..alga.connect import NoAlgaServer
from ..bundles import Bundle, BundleSource, MemoryBundles
from ..settings import Settings
from .observed import ObservedRunner
from .relay import Relay


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
