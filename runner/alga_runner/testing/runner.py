"""A runner that keeps the observation of each execution, and can be lent to one embedded server after the other."""

from __future__ import annotations

import base64
import json
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass
from types import TracebackType
from typing import Self

from ..alga import AlgaServer, NoAlgaServer, UiProxy
from ..bundles import Bundle, BundleSource, MemoryBundles
from ..capabilities.operation import RECORDED_BYTES
from ..egress import Egress
from ..execution.margin import NO_MARGIN, Margin
from ..execution.observation import Observation
from ..models import ExecuteRequest, ExecutionLimits, SecretEnvelope
from ..runner import Runner
from ..settings import Settings


@dataclass(slots=True)
class Watched:
    """One call from this process: the timeout of its execution, and the observation if there was an execution."""

    timeout_ms: int | None = None
    observation: Observation | None = None


_watched: ContextVar[Watched | None] = ContextVar("watched", default=None)


@contextmanager
def watch(timeout_ms: int | None = None) -> Iterator[Watched]:
    """Keep the observation of the execution that the block causes. Concurrent blocks in other tasks do not mix."""
    watched = Watched(timeout_ms)
    token = _watched.set(watched)
    try:
        yield watched
    finally:
        _watched.reset(token)


SecretsOf = Callable[[str | None], Mapping[str, str]]
"""The secrets of an install, by its id."""


def no_secrets(_install_id: str | None) -> Mapping[str, str]:
    """None for any install."""
    return {}


class ObservedRunner(Runner):
    """A runner that keeps the observations of its executions: in the caller's ``watch``, or else until ``take``.

    The caller's timeout or this runner's default bounds an execution, not the server's: the test is of one extension on
    one machine.
    """

    def __init__(
        self,
        settings: Settings | None,
        *,
        alga: AlgaServer,
        bundles: BundleSource,
        clock_ns: Callable[[], int],
        egress: Egress | None = None,
        secrets_of: SecretsOf = no_secrets,
        ui_proxy: UiProxy | None = None,
    ) -> None:
        super().__init__(
            settings, alga=alga, bundles=bundles, clock_ns=clock_ns, egress=egress, ui_proxy=ui_proxy
        )
        self._secrets_of = secrets_of
        self._kept: dict[str | None, Observation] = {}

    async def observe(
        self, request: ExecuteRequest, *, recorded_bytes: int = RECORDED_BYTES, margin: Margin = NO_MARGIN
    ) -> Observation:
        """See ``Runner.observe``.

        Arguments and replies are kept no matter how much of them the caller wants, and a test's time limit is the
        execution's: nothing travels.
        """
        watched = _watched.get()
        limits = ExecutionLimits(timeout_ms=watched.timeout_ms if watched else None)
        sealed = request.secret_envelope or _sealed(self._secrets_of(request.context.install_id))
        changes = {"limits": limits, "secret_envelope": sealed}
        observation = await super().observe(request.model_copy(update=changes))
        if watched is not None:
            watched.observation = observation
        else:
            self._kept[request.context.request_id] = observation
        return observation

    def take(self, request_id: str) -> Observation | None:
        """Remove and return the observation of that request; ``None`` if nothing was executed."""
        return self._kept.pop(request_id, None)

    def ask_instead(
        self,
        alga: AlgaServer,
        *,
        egress: Egress | None = None,
        secrets_of: SecretsOf = no_secrets,
        ui_proxy: UiProxy | None = None,
    ) -> None:
        """Answer host calls of executions that start from now on with these; without an egress no server is reached."""
        self._alga = alga
        self._egress = egress or Egress()
        self._secrets_of = secrets_of
        self._ui_proxy = ui_proxy

    def forget(self) -> None:
        """Drop all observations."""
        self._kept.clear()


class SharedRunner:
    """Lends one runner to several embedded servers, one at a time, so that modules stay compiled.

    async with SharedRunner() as shared, EmbeddedAlga(shared=shared) as alga:
        ...
    """

    def __init__(self, settings: Settings | None = None) -> None:
        self._bundles = _RelayedBundles()
        self._clock_ns: Callable[[], int] = time.time_ns
        self._lent = False
        self._runner = ObservedRunner(
            settings, alga=NoAlgaServer(), bundles=self._bundles, clock_ns=self._now_ns, egress=Egress()
        )

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
        self,
        alga: AlgaServer,
        bundles: BundleSource,
        clock_ns: Callable[[], int],
        *,
        egress: Egress | None = None,
        secrets_of: SecretsOf = no_secrets,
        ui_proxy: UiProxy | None = None,
    ) -> Iterator[ObservedRunner]:
        """Lend the runner, with this server and so on. Raises ``RuntimeError`` if it is lent already."""
        if self._lent:
            raise RuntimeError("the runner is lent already")
        self._lent = True
        self._runner.ask_instead(alga, egress=egress, secrets_of=secrets_of, ui_proxy=ui_proxy)
        self._bundles.source, self._clock_ns = bundles, clock_ns
        try:
            yield self._runner
        finally:
            self._lent = False
            self._runner.forget()
            self._runner.ask_instead(NoAlgaServer())
            self._bundles.source, self._clock_ns = MemoryBundles(), time.time_ns

    def _now_ns(self) -> int:
        return self._clock_ns()


def _sealed(secrets: Mapping[str, str]) -> SecretEnvelope | None:
    """An envelope of ``secrets``, if there are any."""
    if not secrets:
        return None
    text = json.dumps(dict(secrets)).encode()
    return SecretEnvelope(ciphertext_b64=base64.b64encode(text).decode(), algorithm="inline/base64")


class _RelayedBundles(BundleSource):
    """The bundles of the borrower."""

    def __init__(self) -> None:
        self.source: BundleSource = MemoryBundles()

    async def fetch(self, tenant_id: str, extension_id: str, content_hash: str) -> Bundle:
        return await self.source.fetch(tenant_id, extension_id, content_hash)
