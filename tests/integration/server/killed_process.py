"""Servers that die by SIGKILL at a given step, and servers that start on the database they left.

The program reads orders on stdin, a line of JSON at a time, and answers on stdout. It makes one server for the
database and starts it in a fork for each order, so that a start costs milliseconds: before the fork there is no thread
and no connection. Each is a whole server, over its routes.
"""

from __future__ import annotations

import json
import os
import signal
import sys
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from functools import cache
from pathlib import Path
from threading import local
from typing import Any

import anyio
import httpx
from sqlalchemy import Engine, Pool, event

from alga_runner.models.archive import pack
from alga_server import ManualClock, Server, ServerSettings

START = datetime(2026, 1, 1, tzinfo=UTC)
RUNNER_TOKEN, ADMIN_TOKEN = "runner-token-of-the-test", "admin-token-of-the-test"
HOURLY = "0 * * * *"
KEY = "request-1:1"


class Steps:
    """Counts the steps of an operation once it is armed, and dies before the given one.

    A step is a statement that writes, the commit of such, the moment after that, a call of the runner, and an answer;
    with ``every``, each statement of a transaction that writes, and the moment after each.
    """

    def __init__(self, kill_at: int | None, *, every: bool) -> None:
        self.names: list[str] = []
        self.armed = False
        self._kill_at = kill_at
        self._every = every
        self._here = local()
        event.listen(Engine, "before_cursor_execute", lambda *given: self._statement("before", given[2]))
        if every:
            event.listen(Engine, "after_cursor_execute", lambda *given: self._statement("after", given[2]))
        event.listen(Engine, "commit", lambda _connection: self._transaction("before commit"))
        event.listen(Pool, "checkin", lambda *_: self._transaction("after commit"))

    def step(self, name: str) -> None:
        """One step is about to be taken."""
        if self.armed:
            self.names.append(name)
            if len(self.names) == self._kill_at:
                os.kill(os.getpid(), signal.SIGKILL)

    def watch(self, database: Any) -> None:
        """Know the transactions that write."""
        for name in ("write", "write_together"):
            setattr(database, name, self._marking(getattr(database, name)))

    def _marking(self, write: Callable[[Any], Any]) -> Callable[[Any], Any]:
        def watched(fn: Callable[[Any], Any]) -> Any:
            def marked(connection: Any) -> Any:
                self._here.writing = True
                return fn(connection)

            return write(marked)

        return watched

    def answering(self, app: Any) -> Any:
        """``app``, of which each answer is a step."""

        async def wrapped(scope: Any, receive: Any, send: Any) -> None:
            async def sending(message: Any) -> None:
                if message["type"] == "http.response.start":
                    self.step("answer")
                await send(message)

            await app(scope, receive, sending)

        return wrapped

    def _statement(self, when: str, statement: str) -> None:
        verb = statement.split(maxsplit=1)[0]
        if getattr(self._here, "writing", False) and (self._every or verb != "SELECT"):
            self.step(f"{when} {verb}")

    def _transaction(self, when: str) -> None:
        if getattr(self._here, "writing", False):
            self.step(when)
        if when == "after commit":
            self._here.writing = False


@dataclass
class World:
    """A server, its callers, and the install that something happens to."""

    server: Server
    client: httpx.AsyncClient
    clock: ManualClock
    tenant: str
    calls: Path
    scene: dict[str, str] = field(default_factory=dict)

    async def admin(self, method: str, path: str, **options: Any) -> Any:
        """An admin's call; the answer."""
        headers = {"authorization": f"Bearer {ADMIN_TOKEN}"}
        response = await self.client.request(method, f"/api/admin{path}", headers=headers, **options)
        return response.status_code, response.json() if response.content else None

    async def of_install(self, method: str, path: str = "", **options: Any) -> Any:
        """An admin's call below the install."""
        return await self.admin(
            method, f"/tenants/{self.tenant}/installs/{self.scene['install']}{path}", **options
        )

    async def call(self, operation: str, **members: Any) -> Any:
        """A host call; the answer."""
        headers = {
            "x-runner-auth": RUNNER_TOKEN,
            "x-alga-tenant": self.tenant,
            "x-alga-extension": self.scene["extension"],
            "x-ext-install-id": self.scene["install"],
            "x-request-id": "request-1",
        }
        path = f"/api/internal/ext-scheduler/install/{self.scene['install']}"
        response = await self.client.post(path, headers=headers, json={"operation": operation, **members})
        return response.status_code, response.json()

    async def publish(self, version: str, *paths: str) -> dict[str, str]:
        """A version with these endpoints."""
        manifest = {
            "name": "com.example.sync",
            "publisher": "Example",
            "version": version,
            "runtime": "wasm-js@1",
            "capabilities": ["cap:scheduler.manage"],
            "api": {"endpoints": [{"method": "POST", "path": path, "handler": path[1:]} for path in paths]},
        }
        bundle = pack({"manifest.json": json.dumps(manifest).encode(), "dist/main.wasm": b"\0asm"})
        _, published = await self.admin("POST", "/extensions", content=bundle)
        version: dict[str, str] = published
        return version

    async def install(self) -> None:
        """An install with a schedule ``One``, another whose endpoint a later version lacks, and a disabled one."""
        document = {
            "extensionId": self.scene["extension"],
            "versionId": self.scene["version"],
            "grants": ["cap:scheduler.manage"],
        }
        _, made = await self.admin("POST", f"/tenants/{self.tenant}/installs", json=document)
        self.scene["install"] = made["installId"]
        for name, members in {
            "One": {"maxAttempts": 1},
            "Report": {"endpoint": "/report"},
            "Off": {"enabled": False},
        }.items():
            schedule = {"endpoint": "/sync", "cron": HOURLY, "name": name, **members}
            _, made = await self.of_install("POST", "/schedules", json=schedule)
            self.scene[name] = made["id"]

    async def schedule(self, name: str, **changes: Any) -> Any:
        """An admin's change of a schedule."""
        return await self.of_install("PATCH", f"/schedules/{self.scene[name]}", json=changes)

    async def fire(self, **step: float) -> Any:
        """Move the clock, so that due schedules fire."""
        self.clock.advance(timedelta(**step))
        fired = await self.server.dispatcher.run_due()
        return 200, [run.status for run in fired]

    async def runner(self, request: httpx.Request) -> httpx.Response:
        """The runner: its requests stay on the disk when a process dies. The first attempt at ``flaky`` fails."""
        STEPS.step("before the call")
        asked = json.loads(request.content)["context"]
        line = {"tenant": asked["tenant_id"], "key": request.headers["x-idempotency-key"], **asked}
        with self.calls.open("a", encoding="utf-8") as file:
            file.write(json.dumps(line) + "\n")
        STEPS.step("during the call")
        failed = self.scene.get("flaky") == asked["schedule_id"] and asked["attempt"] == 1
        return httpx.Response(200, json={"status": 500 if failed else 200, "headers": {}, "body_b64": None})

    async def published(self) -> None:
        """The extension in three versions."""
        published = await self.publish("1.0.0", "/sync", "/report")
        self.scene |= {"extension": published["extensionId"], "version": published["versionId"]}
        self.scene["lacking"] = (await self.publish("1.1.0", "/sync", "/other"))["versionId"]
        self.scene["next"] = (await self.publish("1.2.0", "/sync", "/other", "/report"))["versionId"]


Act = Callable[[World], Awaitable[Any]]


async def flaky(world: World) -> None:
    """One schedule, whose first attempts fail and are tried again in a minute."""
    world.scene["flaky"] = world.scene["One"]
    await world.schedule("Report", enabled=False)
    await world.schedule("One", maxAttempts=3)


OPERATIONS: dict[str, tuple[Act | None, Act]] = {
    "create": (
        None,
        lambda w: w.call("create", endpoint="/sync", cron=HOURLY, name="New", idempotencyKey=KEY),
    ),
    "update": (
        None,
        lambda w: w.call("update", scheduleId=w.scene["One"], cron="30 * * * *", name="Half", payload=[1]),
    ),
    "disable": (None, lambda w: w.call("update", scheduleId=w.scene["One"], enabled=False)),
    "enable": (None, lambda w: w.call("update", scheduleId=w.scene["Off"], enabled=True)),
    "delete": (None, lambda w: w.call("delete", scheduleId=w.scene["One"])),
    "create by an admin": (
        None,
        lambda w: w.of_install(
            "POST", "/schedules", json={"endpoint": "/sync", "cron": HOURLY, "name": "New"}
        ),
    ),
    "disable by an admin": (None, lambda w: w.schedule("One", enabled=False)),
    "enable by an admin": (None, lambda w: w.schedule("Off", enabled=True)),
    "delete by an admin": (None, lambda w: w.of_install("DELETE", f"/schedules/{w.scene['One']}")),
    "disable the install": (None, lambda w: w.of_install("PATCH", json={"enabled": False})),
    "enable the install": (
        lambda w: w.of_install("PATCH", json={"enabled": False}),
        lambda w: w.of_install("PATCH", json={"enabled": True}),
    ),
    "uninstall": (None, lambda w: w.of_install("DELETE")),
    "upgrade": (None, lambda w: w.of_install("POST", "/upgrade", json={"versionId": w.scene["next"]})),
    "upgrade and disable": (
        None,
        lambda w: w.of_install(
            "POST", "/upgrade", json={"versionId": w.scene["lacking"], "disableMissingSchedules": True}
        ),
    ),
    "fire": (lambda w: w.schedule("Report", enabled=False), lambda w: w.fire(hours=1)),
    "fail": (flaky, lambda w: w.fire(hours=1)),
    "run now": (None, lambda w: w.of_install("POST", f"/schedules/{w.scene['One']}/run-now")),
}
"""Operation to its preparation and the operation itself."""


@dataclass
class Made:
    """A server that is not started yet."""

    server: Server
    clock: ManualClock
    world: World | None = None


@cache
def made(url: str) -> Made:
    """A server for the database, of which everything is loaded."""
    settings = ServerSettings(
        database_url=url,
        database_threads=2,
        runner_token=RUNNER_TOKEN,
        admin_token=ADMIN_TOKEN,
        gateway_token=ADMIN_TOKEN,
        require_execution_token=False,
        dispatch_schedules=False,
        run_lease_seconds=60,
        job_engine="procrastinate" if url.startswith("postgresql") else "embedded",
    )
    clock = ManualClock(START)

    async def runner(request: httpx.Request) -> httpx.Response:
        assert this.world is not None
        return await this.world.runner(request)

    this = Made(Server(settings, clock=clock, runner_transport=httpx.MockTransport(runner)), clock)

    async def refused() -> None:
        transport = httpx.ASGITransport(this.server.app)
        async with httpx.AsyncClient(transport=transport, base_url="http://server") as client:
            await client.get("/api/admin/extensions")

    anyio.run(refused)  # FastAPI makes of its routes what it needs when it is asked first
    return this


@asynccontextmanager
async def world(order: dict[str, Any], now: datetime) -> AsyncIterator[World]:
    this = made(order["url"])
    this.clock.move_to(now)
    STEPS.watch(this.server._services.database)
    transport = httpx.ASGITransport(STEPS.answering(this.server.app))
    async with this.server, httpx.AsyncClient(transport=transport, base_url="http://server") as client:
        this.world = World(this.server, client, this.clock, order["tenant"], Path(order["calls"]))
        yield this.world


async def publish(order: dict[str, Any]) -> None:
    """Prepare the parts that all operations share."""
    async with world(order, START) as here:
        await here.published()
        tell(here.scene)


async def live(order: dict[str, Any]) -> None:
    """Prepare, wait for the order, and carry out the operation, until it ends or the process is killed."""
    prepare, act = OPERATIONS[order["operation"]]
    async with world(order, START) as here:
        here.scene = order["scene"]
        await here.install()
        if prepare is not None:
            await prepare(here)
        tell(here.scene)
        hear()
        STEPS.armed = True
        status, body = await act(here)
        STEPS.armed = False
        tell({"steps": STEPS.names, "status": status, "body": body})


async def find(order: dict[str, Any]) -> None:
    """A server starts on what another left: it repairs what it must, is asked again, and time goes on."""
    async with world(order, datetime.fromisoformat(order["now"])) as here:
        here.scene = order["scene"]
        metrics = (await here.client.get("/metrics")).text
        repaired = [
            line
            for line in metrics.splitlines()
            if line.startswith("alga_server_schedule_discrepancies_total{") and not line.endswith(" 0.0")
        ]
        _, left = await here.admin("GET", "/reconciliation")
        again = await OPERATIONS[order["operation"]][1](here) if order["again"] else None
        tell({"repaired": repaired, "left": left["discrepancies"], "again": again})
        hear()
        for minutes in order["pass"]:
            await here.fire(minutes=minutes)
        tell("passed")
        hear()
        await here.of_install("DELETE")  # the next one finds an empty database


def tell(value: Any) -> None:
    """One line on stdout."""
    print(json.dumps(value), flush=True)  # noqa: T201 - stdout is how it speaks


def hear() -> dict[str, Any]:
    """One line of stdin. Blocking is fine: nothing else is to happen."""
    line = sys.stdin.readline()
    if not line:
        os._exit(1)
    order: dict[str, Any] = json.loads(line)
    return order


STEPS: Steps


def serve(order: dict[str, Any]) -> None:
    """Be the server that ``order`` wants, and end."""
    global STEPS  # noqa: PLW0603 - one for the process, which is one server
    STEPS = Steps(order.get("kill_at"), every=order["every"])
    anyio.run({"publish": publish, "live": live, "find": find}[order["phase"]], order)


def main() -> None:
    """Fork a server for each order; tell how it ended."""
    tell("ready")
    while True:
        order = hear()
        made(order["url"])
        child = os.fork()
        if child == 0:
            status = 1
            try:
                serve(order)
                status = 0
            finally:
                sys.stderr.flush()
                os._exit(status)
        _, status = os.waitpid(child, 0)
        tell({"ended": os.waitstatus_to_exitcode(status)})


if __name__ == "__main__":
    main()
