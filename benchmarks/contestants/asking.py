"""Host calls of many installs over HTTP, many of them concurrent, as runners make them."""

from __future__ import annotations

from collections.abc import Mapping
from time import monotonic
from typing import Any

from pydantic import SecretStr

from alga_runner.alga import Identity
from alga_runner.alga.http import HttpAlgaServer
from alga_runner.models import CreateScheduleInput
from alga_server import SystemClock
from alga_server.execution.tokens import ExecutionTokens
from alga_server.storage.database import Database

from ..child import Contestant, Counts, Work, WrongAnswer
from ..seeding import CRON, TENANT, TOKEN
from .crowd import crowd

IN_FLIGHT = 32
_REQUEST_ID = "request-1"
_SCHEDULE = CreateScheduleInput(endpoint="POST /sync", cron=CRON, payload={"full": False})


class Asking(Contestant):
    """The order's ``server`` is asked for the ``operation``, of one install after the other."""

    def __init__(self) -> None:
        self._server: HttpAlgaServer | None = None
        self._identities: list[Identity] = []
        self._asked = 0

    async def __aexit__(self, *_: object) -> None:
        if self._server is not None:
            await self._server.aclose()

    async def prepare(self, order: Mapping[str, Any]) -> Work:
        """``done`` counts answers that were as they must be."""
        if self._server is None:
            self._server = HttpAlgaServer(order["server"], SecretStr(TOKEN))
            self._identities = await _identities(order)
        server, identities, count = self._server, self._identities, order["count"]
        start, self._asked = self._asked, self._asked + count

        async def create(number: int) -> None:
            identity = identities[(start + number) % len(identities)]
            key = f"{start + number}"
            if not await server.create_schedule(identity, _SCHEDULE, monotonic() + 60, idempotency_key=key):
                raise WrongAnswer("no id")

        async def list_(number: int) -> None:
            identity = identities[(start + number) % len(identities)]
            if len(await server.list_schedules(identity, monotonic() + 60)) < order["schedules"]:
                raise WrongAnswer("not all schedules")

        async def run() -> Counts:
            await crowd(IN_FLIGHT, count, create if order["operation"] == "create" else list_)
            return {"done": count}

        return run


async def _identities(order: Mapping[str, Any]) -> list[Identity]:
    """One for each install, with a token of an execution that this server started."""
    database = Database(order["url"])
    tokens = ExecutionTokens(database, SystemClock())
    identities = []
    for number, install_id in enumerate(order["install_ids"]):
        tenant_id = f"{TENANT}-{number}"
        token = await tokens.issue(
            tenant_id=tenant_id, install_id=install_id, request_id=_REQUEST_ID, lifetime_s=3600
        )
        identities.append(Identity(tenant_id, order["extension_id"], install_id, _REQUEST_ID, token))
    await database.aclose()
    return identities
