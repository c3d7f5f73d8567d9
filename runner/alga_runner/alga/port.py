"""The Alga server as the runner sees it: one method per operation it answers.

Every method speaks for the install in ``identity``, must finish by ``deadline`` (a reading of
``time.monotonic()``, in seconds), and fails with ``HostCallError`` alone: whatever goes wrong on the way is a value
that the guest can read.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import NamedTuple

from ..errors import HostCallCode, HostCallError
from ..models import CreateScheduleInput, EndpointInfo, ScheduleInfo, UpdateScheduleInput


class Identity(NamedTuple):
    """Who calls. Taken from the execution's context, never from the guest.

    ``execution_token`` is the server's own word for it, valid for this execution alone.
    """

    tenant_id: str
    extension_id: str
    install_id: str | None
    request_id: str | None
    execution_token: str | None = None

    def __repr__(self) -> str:
        """Without the token."""
        return f"Identity({', '.join(map(repr, self[:4]))})"

    def require_install(self) -> str:
        """The install's id; without one, what belongs to installs is ``denied`` (alga-contract 4)."""
        if not self.install_id:
            raise HostCallError(HostCallCode.DENIED, "Install ID missing")
        return self.install_id


class AlgaServer(ABC):
    """The seam between the runner and an Alga server."""

    @abstractmethod
    async def list_schedules(self, identity: Identity, deadline: float) -> list[ScheduleInfo]:
        """The install's schedules, oldest first."""

    @abstractmethod
    async def get_schedule(
        self, identity: Identity, schedule_id: str, deadline: float
    ) -> ScheduleInfo | None:
        """One schedule; ``None`` when this install has none with that id."""

    @abstractmethod
    async def create_schedule(
        self,
        identity: Identity,
        schedule: CreateScheduleInput,
        deadline: float,
        *,
        idempotency_key: str | None = None,
    ) -> str:
        """Create ``schedule``; the new schedule's id.

        The same ``idempotency_key`` of the same install gives the first result for a day.
        """

    @abstractmethod
    async def update_schedule(
        self, identity: Identity, changes: UpdateScheduleInput, deadline: float
    ) -> None:
        """Change what ``changes`` gives; an unknown id is ``not-found``."""

    @abstractmethod
    async def delete_schedule(self, identity: Identity, schedule_id: str, deadline: float) -> None:
        """Delete one schedule; an unknown id is ``not-found``."""

    @abstractmethod
    async def get_endpoints(self, identity: Identity, deadline: float) -> list[EndpointInfo]:
        """The endpoints of the installed version, ordered by path."""

    async def aclose(self) -> None:
        """Give back connections."""
        return
