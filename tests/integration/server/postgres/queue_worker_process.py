"""A server whose worker takes jobs from the queue, in a process of its own: it prints its requests to the runner.

It is given its settings, how far its clock is ahead, and whether its runner never answers.
"""

from __future__ import annotations

import json
import sys
from datetime import datetime, timedelta
from typing import Any

import anyio
import httpx

from alga_server import Server, ServerSettings, SystemClock


class Ahead(SystemClock):
    """The machine's clock, ahead. It cannot be moved, so that only the queue brings due schedules."""

    def __init__(self, seconds: float) -> None:
        self._by = timedelta(seconds=seconds)

    def now(self) -> datetime:
        """Ahead of the machine's."""
        return super().now() + self._by


async def main(settings: dict[str, Any], ahead_s: float, *, silent: bool) -> None:
    async def runner(request: httpx.Request) -> httpx.Response:
        print(json.dumps(json.loads(request.content)["context"]), flush=True)  # noqa: T201 - stdout is how it speaks
        if silent:
            await anyio.sleep_forever()
        return httpx.Response(200, json={"status": 200, "headers": {}, "body_b64": None, "error": None})

    transport = httpx.MockTransport(runner)
    async with Server(ServerSettings(**settings), clock=Ahead(ahead_s), runner_transport=transport):
        await anyio.sleep_forever()


if __name__ == "__main__":
    given = json.loads(sys.argv[1])
    anyio.run(lambda: main(given["settings"], given["ahead_s"], silent=given["silent"]))
