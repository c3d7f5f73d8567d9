"""Components that compute, wait or fail: the loop's lag among many, and the memory that each kind of end leaves."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import anyio
import wasmtime

from alga_runner import ExecuteRequest
from alga_runner.alga import Identity
from alga_runner.errors import AlgaError, DeadlineExceeded, GuestTrap
from alga_runner.models import ScheduleInfo

from ..child import Counts, Work, WrongAnswer
from .component import ExecuteComponent
from .component_work import CASES, CleanServer, bundle, wasm
from .fairness import probed
from .memory import resident_kb
from .workload import alga_guest, works

_HANDLER = """(component
  (core module $code
    (memory (export "memory") 1)
    (func (export "realloc") (param i32 i32 i32 i32) (result i32) (i32.const 1024))
    (func (export "handler") (param i32 i32) (result i32) %s))
  (core instance $code (instantiate $code))
  (alias core export $code "memory" (core memory $memory))
  (alias core export $code "realloc" (core func $realloc))
  (alias core export $code "handler" (core func $handler))
  (type $http-type (record (field "method" string)))
  (export $http "http" (type $http-type))
  (type $request-type (record (field "http" $http)))
  (export $request "request" (type $request-type))
  (type $response-type (record (field "status" u16)))
  (export $response "response" (type $response-type))
  (func (export "handler") (param "request" $request) (result $response)
    (canon lift (core func $handler) (memory $memory) (realloc $realloc))))"""

_SPINNING = bytes(wasmtime.wat2wasm(_HANDLER % "(loop $again (br $again)) unreachable"))
_TRAPPING = bytes(wasmtime.wat2wasm(_HANDLER % "unreachable"))


class Among(ExecuteComponent):
    """An order has how many ``guests`` compute for how many ``seconds``, and the ``engine`` of a light component."""

    async def prepare(self, order: Mapping[str, Any]) -> Work:
        """Load all three."""
        guests, seconds, case = order["guests"], order["seconds"], CASES["none"]
        spinning = self.bundles.add(bundle(_SPINNING))
        light = works("/echo", self.bundles.add(alga_guest()))
        sample = case.request(self.bundles.add(bundle(wasm(order["engine"]))))
        for _ in range(4):
            await self.runner.execute(sample)
        request = _with_limits(case.request(spinning), timeout_ms=round(seconds * 1000), cpu_ms=60_000)

        async def run() -> Counts:
            killed = answered = 0

            async def spin() -> None:
                nonlocal killed
                try:
                    await self.runner.execute(request)
                except DeadlineExceeded:
                    killed += 1

            async def answer() -> None:
                nonlocal answered
                while True:
                    await self.runner.execute(sample)
                    answered += 1
                    await anyio.sleep(0.005)

            async with anyio.create_task_group() as spinners:
                for _ in range(guests):
                    spinners.start_soon(spin)
                async with probed(self.runner, light) as lag, anyio.create_task_group() as others:
                    others.start_soon(answer)
                    await anyio.sleep(seconds * 0.9)
                    others.cancel_scope.cancel()
            return {"done": 1, "killed": killed, "answered": answered, **lag.counts("loop")}

        return run


class MoodyServer(CleanServer):
    """Answers, never answers, or breaks, when it is asked for the schedules."""

    mood = "prompt"
    asked: anyio.Event

    async def list_schedules(self, identity: Identity, deadline: float) -> list[ScheduleInfo]:
        """By its mood."""
        if self.mood == "broken":
            raise RuntimeError("the server broke")
        if self.mood == "mute":
            self.asked.set()
            await anyio.sleep_forever()
        return await super().list_schedules(identity, deadline)


class Leak(ExecuteComponent):
    """An order names a ``kind`` and a ``count``; the counts have resident memory before and after."""

    def __init__(self) -> None:
        super().__init__()
        self.server: MoodyServer = MoodyServer()

    async def prepare(self, order: Mapping[str, Any]) -> Work:
        """Load the component that ends so."""
        kind, count = order["kind"], order["count"]
        component = {
            "trap": _TRAPPING,
            "deadline": _SPINNING,
        }.get(kind) or wasm("quickjs")
        request = CASES["eleven"].request(self.bundles.add(bundle(component)))
        if kind == "deadline":
            request = _with_limits(request, timeout_ms=1)
        self.server.mood = {"killed": "mute", "host_error": "broken"}.get(kind, "prompt")

        async def run() -> Counts:
            before_kb = resident_kb()
            for _ in range(count):
                if kind == "killed":
                    await self._kill(request)
                elif (ended := await self._ended(request)) != _ENDS[kind]:
                    raise WrongAnswer(ended)
            return {"done": count, "before_kb": before_kb, "after_kb": resident_kb()}

        return run

    async def _ended(self, request: ExecuteRequest) -> int | type[AlgaError]:
        try:
            return (await self.runner.execute(request)).status
        except AlgaError as error:
            return type(error)

    async def _kill(self, request: ExecuteRequest) -> None:
        """Cancel the execution while it waits for the server."""
        self.server.asked = anyio.Event()
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(self.runner.execute, request)
            await self.server.asked.wait()
            tasks.cancel_scope.cancel()


_ENDS: dict[str, int | type[AlgaError]] = {
    "ok": 200,
    "trap": GuestTrap,
    "host_error": 502,  # the handler answers the error that it got
    "deadline": DeadlineExceeded,
}


def _with_limits(request: ExecuteRequest, **limits: int) -> ExecuteRequest:
    return ExecuteRequest.model_validate({**request.model_dump(), "limits": limits})
