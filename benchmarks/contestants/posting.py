"""The HTTP exchange alone: the POST that a forwarded ``create`` is, concurrently, with one client or another."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from time import monotonic
from typing import Any

import httpx
from pydantic import SecretStr

from alga_runner.alga import Identity
from alga_runner.alga.http import HttpAlgaServer
from alga_runner.models import CreateScheduleInput

from ..child import Contestant, Counts, Work, WrongAnswer
from .crowd import crowd
from .forwarded import IN_FLIGHT
from .sampled import with_samples
from .workload import SCHEDULE_ID

_SCHEDULE = CreateScheduleInput(
    endpoint="POST /sync/0000", cron="0 * * * *", name="Hourly sync", payload={"full": False}
)
DOCUMENT = {"operation": "create", **_SCHEDULE.model_dump(by_alias=True, exclude_none=True)}
HEADERS = {
    "accept": "application/json",
    "x-runner-auth": "token",
    "x-alga-tenant": "acme",
    "x-alga-extension": "com.example.bench",
    "x-ext-install-id": "i-1",
}
PATH = "/api/internal/ext-scheduler/install/i-1"


class Posting(Contestant):
    """``post`` makes one exchange and returns the id that the server gave."""

    post: Callable[[], Awaitable[str]]

    async def connect(self, url: str) -> None:
        """Set ``post`` up."""
        raise NotImplementedError

    async def prepare(self, order: Mapping[str, Any]) -> Work:
        """Nothing to build."""
        if not hasattr(self, "post"):
            await self.connect(order["url"])
        count = order["count"]

        async def do(_: int) -> None:
            if (answer := await self.post()) != SCHEDULE_ID:
                raise WrongAnswer(answer)

        async def run() -> Counts:
            await crowd(IN_FLIGHT, count, do)
            return {"done": count, "checked": count}

        return run


class Ours(Posting):
    """The runner's client: models, deadline, checks and transport."""

    def transport(self) -> httpx.AsyncBaseTransport | None:
        """The transport; ``None`` is the runner's own."""
        return None

    async def connect(self, url: str) -> None:
        """As the runner makes it."""
        server = HttpAlgaServer(url, SecretStr("token"), transport=self.transport())
        identity = Identity("acme", "com.example.bench", "i-1", None)
        self.post = lambda: server.create_schedule(identity, _SCHEDULE, monotonic() + 30)


class OursSampled(Ours):
    """With a timer that samples the running function."""

    async def prepare(self, order: Mapping[str, Any]) -> Work:
        """As without; the counts have the samples, too."""
        return with_samples(await super().prepare(order))


class OursOverHttpx(Ours):
    """The same over httpx's own transport and pool."""

    def transport(self) -> httpx.AsyncBaseTransport:
        """With httpx's defaults, but for proxies of the environment, which the runner does not use either."""
        return httpx.AsyncHTTPTransport(trust_env=False)


class Httpx(Posting):
    """``httpx.AsyncClient().post``."""

    async def connect(self, url: str) -> None:
        """With httpx's defaults."""
        client = httpx.AsyncClient(headers=HEADERS, trust_env=False)

        async def post() -> str:
            response = await client.post(url + PATH, json=DOCUMENT)
            return str(response.json()["scheduleId"])

        self.post = post
