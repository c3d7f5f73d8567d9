"""An Alga server that answers when a test lets it."""

from __future__ import annotations

import anyio

from alga_runner.alga import Identity, NoAlgaServer
from alga_runner.models import ScheduleInfo


class HoldingAlga(NoAlgaServer):
    """Holds every call; ``asked`` are the tenants that called, in order."""

    def __init__(self) -> None:
        self.asked: list[str] = []
        self._released = anyio.Event()

    async def list_schedules(self, identity: Identity, deadline: float) -> list[ScheduleInfo]:
        self.asked.append(identity.tenant_id)
        await self._released.wait()
        return []

    def let_go(self) -> None:
        """Answer the calls that wait now; later ones wait again."""
        self._released.set()
        self._released = anyio.Event()
