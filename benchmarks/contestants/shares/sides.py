"""Who asks on either side of an attack, how often, and which counts come of it."""

from __future__ import annotations

from collections.abc import Mapping
from time import perf_counter
from types import TracebackType
from typing import Any, ClassVar

import anyio
import httpx

from ...child import Contestant, Counts, Work, WrongAnswer

QUIET = "quiet"
_PAUSE_S = 0.005
_FULL = frozenset({429, 503})


class Side(Contestant):
    """One tenant's callers. An order names the ``url`` that they ask."""

    client: httpx.AsyncClient

    def __init__(self) -> None:
        self._ready = False

    async def __aexit__(
        self,
        exc_type: type[BaseException] | None,
        exc: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        if self._ready:
            await self.client.aclose()

    async def get_ready(self, order: Mapping[str, Any]) -> None:
        """Connect, and do once what the ``order`` needs."""
        if not self._ready:
            limits = httpx.Limits(max_connections=500)
            self.client = httpx.AsyncClient(
                base_url=order["url"], timeout=120, trust_env=False, limits=limits
            )
            self._ready = True
            await self.start(order)

    async def start(self, order: Mapping[str, Any]) -> None:
        """Do that which is done once."""

    def request(self, resource: str) -> httpx.Request:
        """The next call; what it takes to make one does not count."""
        raise NotImplementedError


class Attacker(Side):
    """An order names the ``attack``, ``quiet`` for none, and how many ``seconds`` it lasts."""

    callers: ClassVar[Mapping[str, int]] = {}
    """By resource, how many of the tenant's callers ask again as soon as they are answered."""

    finishes = False
    """Whether an attack ends with the last answer: what a runner has begun to load it goes on loading."""

    async def prepare(self, order: Mapping[str, Any]) -> Work:
        """Get ready."""
        await self.get_ready(order)
        attack = order["attack"]

        async def run() -> Counts:
            asked = _Asked()
            async with anyio.create_task_group() as callers:
                for _ in range(self.callers.get(attack, 0)):
                    callers.start_soon(self._ask_on, attack, asked)
                await anyio.sleep(order["seconds"])
                asked.ends = True
                if not self.finishes:
                    callers.cancel_scope.cancel()
            return {
                "done": asked.answered + asked.refused,
                "answered": asked.answered,
                "refused": asked.refused,
            }

        return run

    async def _ask_on(self, attack: str, asked: _Asked) -> None:
        while not asked.ends:
            response = await self.client.send(self.request(attack))
            if response.status_code in _FULL:
                asked.refused += 1
                await anyio.sleep(float(response.headers.get("retry-after", 1)))
            else:
                asked.answered += 1


class Victim(Side):
    """An order names the ``resource`` that is attacked, and how many ``seconds`` to call, ``after`` how many."""

    async def prepare(self, order: Mapping[str, Any]) -> Work:
        """Get ready, and call once."""
        await self.get_ready(order)
        await self._call(order["resource"])

        async def run() -> Counts:
            took: list[float] = []
            await anyio.sleep(order["after"])
            end = perf_counter() + order["seconds"]
            while not took or perf_counter() < end:
                took.append(await self._call(order["resource"]))
                await anyio.sleep(_PAUSE_S)
            took.sort()
            return {"done": len(took)} | {
                f"p{share}_ms": took[len(took) * share // 100] * 1e3 for share in (50, 99)
            }

        return run

    async def _call(self, resource: str) -> float:
        """The seconds that it took."""
        request = self.request(resource)
        started = perf_counter()
        response = await self.client.send(request)
        seconds = perf_counter() - started
        if response.status_code != 200:
            raise WrongAnswer(response.text)
        return seconds


class _Asked:
    """What the attack came to."""

    answered = 0
    refused = 0
    ends = False
