"""A runner that keeps what its service only answers with: how each execution went, log and host calls included."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass

from ..alga import AlgaServer
from ..bundles import BundleSource
from ..models import ExecuteRequest, ExecuteResponse, ExecutionLimits
from ..runner import Observation, Runner
from ..settings import Settings


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
