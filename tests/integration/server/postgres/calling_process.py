"""A server in a process of its own: it makes the calls of each line on stdin concurrently, and prints their answers."""

from __future__ import annotations

import json
import sys
from typing import Any

import anyio
import httpx

from alga_server import ManualClock, Server, ServerSettings


async def main(settings: dict[str, Any]) -> None:
    server = Server(ServerSettings(**settings), clock=ManualClock())
    async with (
        server,
        httpx.AsyncClient(transport=httpx.ASGITransport(server.app), base_url="http://s") as client,
    ):
        print("ready", flush=True)  # noqa: T201 - stdout is how it speaks
        while line := await anyio.to_thread.run_sync(sys.stdin.readline):
            answers: list[Any] = []

            async def one(call: dict[str, Any], into: list[Any]) -> None:
                response = await client.request(**call)
                into.append([response.status_code, response.json() if response.content else None])

            async with anyio.create_task_group() as group:
                for call in json.loads(line):
                    group.start_soon(one, call, answers)
            print(json.dumps(answers), flush=True)  # noqa: T201


if __name__ == "__main__":
    anyio.run(main, json.loads(sys.argv[1]))
