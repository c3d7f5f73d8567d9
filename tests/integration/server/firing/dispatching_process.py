"""A dispatcher in a process of its own: at each instant on stdin it fires the due schedules and prints its runs."""

from __future__ import annotations

import json
import sys
from datetime import datetime

import anyio
import httpx

from alga_server import ManualClock, Server, ServerSettings


async def main(database_url: str) -> None:
    ran: list[str] = []

    async def runner(request: httpx.Request) -> httpx.Response:
        ran.append(request.headers["x-idempotency-key"])
        return httpx.Response(200, json={"status": 200, "headers": {}, "body_b64": None, "error": None})

    settings = ServerSettings(database_url=database_url, dispatch_schedules=False)
    clock = ManualClock()
    async with Server(settings, clock=clock, runner_transport=httpx.MockTransport(runner)) as server:
        print("ready", flush=True)  # noqa: T201 - stdout is how it speaks
        while line := await anyio.to_thread.run_sync(sys.stdin.readline):
            clock.move_to(datetime.fromisoformat(line.strip()))
            await server.dispatcher.run_due()
            print(json.dumps(ran), flush=True)  # noqa: T201
            ran.clear()


if __name__ == "__main__":
    anyio.run(main, sys.argv[1])
