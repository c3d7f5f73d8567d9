"""The Alga server that the settings name."""

from __future__ import annotations

from typing import NoReturn

from alga_common.fair_limiter import share
from alga_common.http.transport import Connections

from ..errors import HostCallCode, HostCallError, SettingsError
from ..models import CreateScheduleInput, EndpointInfo, ScheduleInfo, UpdateScheduleInput
from ..settings import Settings
from .dialects import AlgaDialect, Dialect, PrdDialect
from .http import HttpAlgaServer
from .port import AlgaServer, Identity

DIALECTS: dict[str, Dialect] = {"alga": AlgaDialect(), "prd": PrdDialect()}
"""Ways to ask an Alga server, by what the setting ``server_dialect`` calls them."""


def connect(settings: Settings) -> AlgaServer:
    """A client of the configured server; without one, a server that answers ``unavailable``.

    Raises ``SettingsError`` for a URL or token that cannot be used. Nothing is sent yet.
    """
    if not settings.server_url:
        return NoAlgaServer()
    if settings.server_token is None or not settings.server_token.get_secret_value():
        raise SettingsError(
            "There is an Alga server to ask but no token to ask it with.",
            hint="Set RUNNER_STORAGE_API_TOKEN to the token the server expects as x-runner-auth.",
        )
    most = settings.max_server_connections
    mine = settings.max_server_connections_per_tenant
    return HttpAlgaServer(
        settings.server_url,
        settings.server_token,
        timeout_s=settings.server_timeout_ms / 1000,
        dialect=DIALECTS[settings.server_dialect],
        connections=Connections(most, share(most) if mine is None else mine),
    )


class NoAlgaServer(AlgaServer):
    """Stands where no Alga server is configured: every operation is ``unavailable``."""

    async def list_schedules(self, identity: Identity, deadline: float) -> list[ScheduleInfo]:
        """Unavailable."""
        _unavailable()

    async def get_schedule(
        self, identity: Identity, schedule_id: str, deadline: float
    ) -> ScheduleInfo | None:
        """Unavailable."""
        _unavailable()

    async def create_schedule(
        self,
        identity: Identity,
        schedule: CreateScheduleInput,
        deadline: float,
        *,
        idempotency_key: str | None = None,
    ) -> str:
        """Unavailable."""
        _unavailable()

    async def update_schedule(
        self, identity: Identity, changes: UpdateScheduleInput, deadline: float
    ) -> None:
        """Unavailable."""
        _unavailable()

    async def delete_schedule(self, identity: Identity, schedule_id: str, deadline: float) -> None:
        """Unavailable."""
        _unavailable()

    async def get_endpoints(self, identity: Identity, deadline: float) -> list[EndpointInfo]:
        """Unavailable."""
        _unavailable()


def _unavailable() -> NoReturn:
    raise HostCallError(
        HostCallCode.UNAVAILABLE, "This runner has no Alga server (STORAGE_API_BASE_URL is not set)."
    )
