"""One of several servers on one database that fire due schedules. Its runner is in process and answers immediately."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import timedelta
from time import perf_counter
from typing import Any

import httpx

from alga_server import ManualClock, Server

from ..child import Contestant, Counts, Work
from ..seeding import START, settings

LAG = "lag "
_DONE = {"status": 200, "headers": {}, "body_b64": None, "error": None}


class Firing(Contestant):
    """Each order names a database, ``url``, in which everything is due at 01:00, and fires it."""

    def __init__(self) -> None:
        self._server: Server | None = None
        self._due = 0.0
        self._lags: list[float] = []
        """How late each run was when the runner was called, in seconds since everything was due."""

    async def __aexit__(self, *_: object) -> None:
        if self._server is not None:
            await self._server.__aexit__(None, None, None)

    async def prepare(self, order: Mapping[str, Any]) -> Work:
        """Start the server, an hour too early; ``done`` counts calls of the runner; ``lag 0`` and so on are lags."""
        clock = ManualClock(START)
        transport = httpx.MockTransport(self._runner)
        server = Server(settings(order["url"]), clock=clock, runner_transport=transport)
        self._server = await server.__aenter__()
        self._lags = []

        async def run() -> Counts:
            self._due = perf_counter()
            clock.advance(timedelta(hours=1))
            await server.dispatcher.run_due()
            lags = {f"{LAG}{number}": lag for number, lag in enumerate(self._lags)}
            return {"done": len(self._lags), **lags}

        return run

    async def _runner(self, request: httpx.Request) -> httpx.Response:
        self._lags.append(perf_counter() - self._due)
        return httpx.Response(200, json=_DONE)
