"""A runner in process that runs until its contestant ends."""

from __future__ import annotations

from contextlib import AsyncExitStack
from types import TracebackType

from alga_runner import Runner, Settings
from alga_runner.alga import AlgaServer
from alga_runner.bundles import MemoryBundles

from ..child import Contestant


class Started(Contestant):
    """Closes its ``stack`` at the end."""

    def __init__(self) -> None:
        self.stack = AsyncExitStack()

    async def start(
        self, alga: AlgaServer | None, bundles: MemoryBundles, settings: Settings | None = None
    ) -> Runner:
        """Start a runner, in its default configuration unless there are ``settings``."""
        return await self.stack.enter_async_context(
            Runner(settings or Settings(), alga=alga, bundles=bundles)
        )

    async def __aexit__(
        self,
        exc_type: type[BaseException] | None,
        exc: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        await self.stack.aclose()
