"""An Alga server that hands every operation on to another one."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import TypeVar

from ..alga import AlgaServer, Identity
from ..models import CreateScheduleInput, EndpointInfo, ScheduleInfo, UpdateScheduleInput

T = TypeVar("T")

RELAYED = (
    "scheduler.list",
    "scheduler.get",
    "scheduler.create",
    "scheduler.update",
    "scheduler.delete",
    "scheduler.get-endpoints",
)
"""The operations that an Alga server answers."""


class Relay(AlgaServer):
    """Asks ``server``, which may be exchanged. Subclasses step in at ``carry``."""

    def __init__(self, server: AlgaServer) -> None:
        self.server = server

    async def carry(self, operation: str, ask: Callable[[], Awaitable[T]]) -> T:
        """Carry out ``operation``: what ``ask`` returns is the server's answer."""
        return await ask()

    async def list_schedules(self, identity: Identity, deadline: float) -> list[ScheduleInfo]:
        """The server's answer."""
        return await self.carry("scheduler.list", lambda: self.server.list_schedules(identity, deadline))

    async def get_schedule(
        self, identity: Identity, schedule_id: str, deadline: float
    ) -> ScheduleInfo | None:
        """The server's answer."""
        return await self.carry(
            "scheduler.get", lambda: self.server.get_schedule(identity, schedule_id, deadline)
        )

    async def create_schedule(
        self,
        identity: Identity,
        schedule: CreateScheduleInput,
        deadline: float,
        *,
        idempotency_key: str | None = None,
    ) -> str:
        """The server's answer."""
        return await self.carry(
            "scheduler.create",
            lambda: self.server.create_schedule(
                identity, schedule, deadline, idempotency_key=idempotency_key
            ),
        )

    async def update_schedule(
        self, identity: Identity, changes: UpdateScheduleInput, deadline: float
    ) -> None:
        """The server's answer."""
        await self.carry("scheduler.update", lambda: self.server.update_schedule(identity, changes, deadline))

    async def delete_schedule(self, identity: Identity, schedule_id: str, deadline: float) -> None:
        """The server's answer."""
        await self.carry(
            "scheduler.delete", lambda: self.server.delete_schedule(identity, schedule_id, deadline)
        )

    async def get_endpoints(self, identity: Identity, deadline: float) -> list[EndpointInfo]:
        """The server's answer."""
        return await self.carry(
            "scheduler.get-endpoints", lambda: self.server.get_endpoints(identity, deadline)
        )
