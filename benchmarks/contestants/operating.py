"""The scheduler API in its server's process, without a socket: what each operation costs, one after the other."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Awaitable, Callable, Mapping
from itertools import cycle
from time import perf_counter
from typing import Any

from alga_server import ManualClock, Server

from ..child import Contestant, Counts, Work, WrongAnswer
from ..seeding import CRON, START, TENANT, TOKEN, Seeded, seed, settings

OPERATIONS = ("list", "get", "create", "update", "delete", "getEndpoints")


class Operating(Contestant):
    """The first order for a ``url`` fills the database: so many ``installs``, and so many ``schedules`` of each."""

    def __init__(self) -> None:
        self._servers: dict[str, tuple[Server, Callable[[], Awaitable[dict[str, float]]]]] = {}

    async def __aexit__(self, *_: object) -> None:
        for server, _one_round in self._servers.values():
            await server.__aexit__(None, None, None)

    async def prepare(self, order: Mapping[str, Any]) -> Work:
        """``done`` counts rounds of all operations, each of another install; ``create`` and so on are their seconds."""
        url = order["url"]
        if url not in self._servers:
            self._servers[url] = await self._start(url, order["installs"], order["schedules"])
        _, one_round = self._servers[url]

        async def run() -> Counts:
            seconds: Counter[str] = Counter()
            for _ in range(order["count"]):
                seconds.update(await one_round())
            return {"done": order["count"], **seconds}

        return run

    async def _start(
        self, url: str, installs: int, schedules: int
    ) -> tuple[Server, Callable[[], Awaitable[dict[str, float]]]]:
        there = await seed(url, installs=installs, schedules=schedules)
        chosen = settings(url).model_copy(update={"require_execution_token": False})
        server = await Server(chosen, clock=ManualClock(START)).__aenter__()
        turns = cycle(range(installs))

        async def one_round() -> dict[str, float]:
            return await _round(server, there, next(turns))

        return server, one_round


async def _round(server: Server, there: Seeded, number: int) -> dict[str, float]:
    """Every operation on one install, which has as many schedules afterwards."""
    schedule_ids = there.schedule_ids[number]
    seconds: dict[str, float] = {}

    async def ask(operation: str, **members: Any) -> dict[str, Any]:
        started = perf_counter()
        answer = await _call(server, there, number, {"operation": operation, **members})
        seconds[operation] = perf_counter() - started
        return answer

    await ask("delete", scheduleId=schedule_ids.pop(0))
    members = {"endpoint": "POST /sync", "cron": CRON, "payload": {"full": False}}
    schedule_ids.append((await ask("create", **members))["scheduleId"])
    if (await ask("get", scheduleId=schedule_ids[-1]))["schedule"]["id"] != schedule_ids[-1]:
        raise WrongAnswer("another schedule")
    await ask("update", scheduleId=schedule_ids[-1], cron="30 * * * *")
    if len((await ask("list"))["schedules"]) != len(schedule_ids):
        raise WrongAnswer("not all schedules")
    await ask("getEndpoints")
    return seconds


async def _call(server: Server, there: Seeded, number: int, body: dict[str, Any]) -> dict[str, Any]:
    """One call of the app, as an ASGI server makes it."""
    install_id = there.install_ids[number]
    path = f"/api/internal/ext-scheduler/install/{install_id}"
    headers = {
        "x-runner-auth": TOKEN,
        "x-alga-tenant": f"{TENANT}-{number}",
        "x-alga-extension": there.extension_id,
        "x-ext-install-id": install_id,
        "x-request-id": "request-1",
        "content-type": "application/json",
    }
    scope = {
        "type": "http",
        "asgi": {"version": "3.0"},
        "http_version": "1.1",
        "method": "POST",
        "scheme": "http",
        "path": path,
        "raw_path": path.encode(),
        "root_path": "",
        "query_string": b"",
        "headers": [(name.encode(), value.encode()) for name, value in headers.items()],
        "client": ("127.0.0.1", 1),
        "server": ("127.0.0.1", 80),
    }
    messages: list[Any] = []

    async def receive() -> dict[str, Any]:
        return {"type": "http.request", "body": json.dumps(body).encode(), "more_body": False}

    async def send(message: Any) -> None:
        messages.append(message)

    await server.app(scope, receive, send)
    if messages[0]["status"] >= 300:
        raise WrongAnswer(messages)
    answer: dict[str, Any] = json.loads(messages[1]["body"])
    return answer
