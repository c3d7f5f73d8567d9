"""Host calls that are forwarded to an Alga server over HTTP, many of them concurrent."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from pydantic import SecretStr

from alga_runner import ExecuteRequest, Runner, Settings
from alga_runner.alga import AlgaServer
from alga_runner.alga.http import HttpAlgaServer
from alga_runner.bundles import MemoryBundles

from ..child import Contestant, Counts, Work, WrongAnswer
from .crowd import crowd
from .workload import alga_guest, works

IN_FLIGHT = 32


class Forwarded(Contestant):
    """The order's ``url`` is the server, and ``calls`` how many each execution forwards."""

    def __init__(self) -> None:
        self._runner: Runner | None = None

    async def __aexit__(self, *_: object) -> None:
        if self._runner is not None:
            await self._runner.__aexit__(None, None, None)
            await self._server.aclose()

    async def _start(self, url: str) -> Runner:
        self._server: AlgaServer = HttpAlgaServer(url, SecretStr("token"))
        bundles = MemoryBundles()
        self._content_hash = bundles.add(alga_guest())
        self._runner = await Runner(Settings(), alga=self._server, bundles=bundles).__aenter__()
        return self._runner

    async def prepare(self, order: Mapping[str, Any]) -> Work:
        """Build the requests; ``done`` counts executions."""
        runner = self._runner or await self._start(order["url"])
        path = f"/create/{order['calls']}" if order["calls"] else "/echo"
        pool = works(path, self._content_hash)
        tasks = [pool[index % len(pool)] for index in range(order["count"])]
        pairs = [(ExecuteRequest.model_validate(task.document), task.answer) for task in tasks]
        count = len(pairs)

        async def do(number: int) -> None:
            request, answer = pairs[number]
            response = await runner.execute(request)
            if response.body() != answer:
                raise WrongAnswer(response)

        async def run() -> Counts:
            await crowd(IN_FLIGHT, count, do)
            return {"done": count, "checked": count, "host_calls": count * order["calls"]}

        return run
