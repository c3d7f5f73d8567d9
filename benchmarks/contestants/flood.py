"""One tenant that asks for all it can get, and what another's requests take meanwhile."""

from __future__ import annotations

import asyncio
import base64
from collections.abc import Mapping
from time import perf_counter
from typing import Any, Self

import anyio

from alga_runner import ExecuteRequest
from alga_runner.alga import Identity, NoAlgaServer
from alga_runner.bundles import MemoryBundles, read_bundle
from alga_runner.errors import CpuLimit, DeadlineExceeded, Overloaded
from alga_runner.models import CreateScheduleInput

from ..child import Counts, Work, WrongAnswer
from .doorbell import Doorbell
from .started import Started
from .suspended import SAMPLE
from .workload import alga_guest, works

QUIET = "quiet"
CALLERS = {"spinning": 50, "short": 2_000, "hanging": 2_000, "bodies": 20}
"""Kinds of floods, and how many of the tenant's callers ask again as soon as they are answered."""

_FOREVER = 10**9
_BODY_BYTES = 8 * 1024 * 1024
_LIMITS = {"timeout_ms": 300_000, "cpu_ms": 60_000}
_BEGINNING_S = 0.4
"""How long a flood goes on before anybody rings."""


class SilentServer(NoAlgaServer):
    """Never answers."""

    async def create_schedule(
        self,
        identity: Identity,
        schedule: CreateScheduleInput,
        deadline: float,
        *,
        idempotency_key: str | None = None,
    ) -> str:
        """Never."""
        await anyio.sleep_forever()
        raise AssertionError


class Flood(Started):
    """An order names the ``flood``, ``quiet`` for none, and how often to ``ring`` for the other tenant."""

    async def __aenter__(self) -> Self:
        bundles = MemoryBundles()
        content_hash = bundles.add(alga_guest())
        self._runner = await self.start(SilentServer(), bundles)
        self._doorbell = self.stack.enter_context(Doorbell())
        self._light = [(_of("quiet", work.document), work.answer) for work in works("/echo", content_hash)]
        body = base64.b64encode(bytes(_BODY_BYTES)).decode()
        large = works("/sync", bundles.add(read_bundle(SAMPLE)))[0].document
        self._floods = {
            "spinning": _of("flood", works(f"/compute/{_FOREVER}", content_hash)[0].document),
            "short": _of("flood", works("/echo", content_hash)[0].document),
            "hanging": _of("flood", works("/create/1", content_hash)[0].document),
            "bodies": _of("flood", large, http={"body_b64": body}),
        }
        for _ in range(20):
            await self._answer()
        return self

    async def prepare(self, order: Mapping[str, Any]) -> Work:
        """Nothing to build."""
        kind, rings = order["flood"], order["rings"]

        async def run() -> Counts:
            asked = Asked()
            async with anyio.create_task_group() as callers:
                for _ in range(CALLERS.get(kind, 0)):
                    callers.start_soon(self._ask_on, self._floods[kind], asked)
                await anyio.sleep(_BEGINNING_S)
                began, answered = perf_counter(), asked.answered
                took = await self._doorbell.ring(rings, self._answer)
                seconds = perf_counter() - began
                executing = self._runner.admission.executing
                callers.cancel_scope.cancel()
            return {
                "done": len(took),
                "answered": asked.answered,
                "refused": asked.refused,
                "executing": executing,
                "flood_per_s": (asked.answered - answered) / seconds,
                **{f"p{share}_us": took[len(took) * share // 100] * 1e6 for share in (50, 90, 99)},
            }

        return run

    async def _answer(self) -> None:
        """One light execution of the tenant that does not flood."""
        request, answer = self._light[0]
        self._light.append(self._light.pop(0))
        response = await self._runner.execute(request)
        if response.body() != answer:
            raise WrongAnswer(response)

    async def _ask_on(self, request: ExecuteRequest, asked: Asked) -> None:
        """Ask again and again; when the runner is full, wait as long as its answer asks for."""
        while True:
            try:
                await self._runner.execute(request)
            except Overloaded as error:
                asked.refused += 1
                await asyncio.sleep(error.retry_after_ms / 1000)
            except (CpuLimit, DeadlineExceeded):
                asked.answered += 1
            else:
                asked.answered += 1


class Asked:
    """What the flood came to."""

    answered = 0
    refused = 0


def _of(tenant: str, document: Mapping[str, Any], **changes: Mapping[str, Any]) -> ExecuteRequest:
    context = {**document["context"], "tenant_id": tenant}
    http = {**document["http"], **changes.get("http", {})}
    return ExecuteRequest.model_validate({**document, "context": context, "http": http, "limits": _LIMITS})
