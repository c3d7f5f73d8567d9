"""Components on the product's engine: the engine alone, whole executions, and the first one of a process."""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import AsyncExitStack
from time import monotonic, perf_counter, process_time
from types import TracebackType
from typing import Any, Self

from alga_runner import Runner, Settings
from alga_runner.alga import NoAlgaServer
from alga_runner.bundles import MemoryBundles
from alga_runner.capabilities import Execution, Gate
from alga_runner.engine import (
    Budget,
    CompileBounds,
    Component,
    ComponentGuest,
    ComponentImport,
    EngineConfig,
    LinkedComponent,
    ModuleLoader,
    Offer,
    engine_context,
    link_component,
)
from alga_runner.guests import wasi_p2
from alga_runner.guests.component_session import ComponentSession
from alga_runner.guests.log import GuestLog
from alga_runner.guests.session import CallPace, SessionLimits
from alga_runner.models import ExecutionContext
from alga_runner.telemetry import Telemetry

from ..child import Contestant, Counts, Work, WrongAnswer
from .component_work import ANSWERS, CASES, Case, CleanServer, bundle, wasm

_SETTINGS = Settings()
_LIMITS = SessionLimits(
    host_calls=100_000,
    system_calls=1_000_000,
    copied_bytes=1 << 30,
    request_bytes=1 << 20,
    items=100_000,
    body_bytes=1 << 20,
    component_body_bytes=1 << 20,
)


class EngineAlone(Contestant):
    """A new store, an instance, the call, the end: host calls get an answer that is there already, as the peer's do."""

    def __init__(self) -> None:
        self._linked: dict[str, LinkedComponent] = {}
        self._calls = 0
        self._log = GuestLog(Gate(Telemetry()))
        self._execution = Execution(
            granted=frozenset(),
            alga=NoAlgaServer(),
            deadline=monotonic() + 1e6,
            context=ExecutionContext.model_validate(
                CASES["none"].request("sha256:" + 64 * "0").context.model_dump()
            ),
        )

    async def _link(self, engine: str) -> LinkedComponent:
        if engine not in self._linked:
            loader = ModuleLoader(
                engine_context.engine(EngineConfig()),
                Telemetry(),
                CompileBounds(),
                folder=None,
                max_cache_bytes=0,
            )
            component = await loader.load(wasm(engine), "benchmark")
            loader.close()
            assert isinstance(component, Component)  # noqa: S101 - the sample is one
            self._linked[engine] = link_component(component, self._offer, _dropped)
        return self._linked[engine]

    def _offer(self, imported: ComponentImport) -> Offer | None:
        if imported.interface.startswith(wasi_p2.PACKAGE):
            return wasi_p2.offer(imported)
        key = (imported.interface.rpartition("/")[2], imported.name)
        if key not in ANSWERS:
            return None
        value = ANSWERS[key]

        def answer(_session: ComponentSession, *_arguments: Any) -> Any:
            self._calls += 1
            return value

        return Offer(answer)

    async def prepare(self, order: Mapping[str, Any]) -> Work:
        """Compile and link before the first."""
        case, count = CASES[order["case"]], order["count"]
        linked, value = await self._link(order["engine"]), case.value

        async def run() -> Counts:
            before = self._calls
            for _ in range(count):
                _check(case, self._cycle(linked, value))
            return {"done": count, "checked": count, "host_calls": self._calls - before}

        return run

    def _cycle(self, linked: LinkedComponent, request: object) -> Any:
        guest = ComponentGuest(linked, linked.engine.limits, max_items=_LIMITS.items)
        try:
            session = ComponentSession(
                guest, self._execution, limits=_LIMITS, pace=CallPace(_LIMITS, Budget(), 1), log=self._log
            )
            guest.session = session
            guest.answerer = lambda function, arguments: linked.functions[function].answer(
                session, *arguments
            )
            guest.instantiate()
            _finish(guest)
            guest.call("handler", request)
            _finish(guest)
            return guest.result()
        finally:
            guest.close()


def _finish(guest: ComponentGuest) -> None:
    while not guest.poll():
        if (call := guest.pending) is not None:
            answer = guest.linked.functions[call[0]].answer(guest.session, *call[1])
            guest.resume(answer)  # a coroutine would not fit: the sample waits for nothing


def _check(case: Case, response: Mapping[str, Any]) -> None:
    if response["status"] != case.status or response["body"] != case.answer:
        raise WrongAnswer(response)


def _dropped(guest: ComponentGuest, number: int) -> None:
    if guest.session is not None:
        wasi_p2.dropped(guest.session, number)


class ExecuteComponent(Contestant):
    """``Runner.execute``: with gate, models, operations on a server in process, limits, records."""

    def __init__(self) -> None:
        self.server = CleanServer()
        self.stack = AsyncExitStack()

    async def __aenter__(self) -> Self:
        self.bundles = MemoryBundles()
        self.runner = await self.stack.enter_async_context(
            Runner(_SETTINGS, alga=self.server, bundles=self.bundles)
        )
        return self

    async def __aexit__(
        self,
        exc_type: type[BaseException] | None,
        exc: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        await self.stack.aclose()

    async def prepare(self, order: Mapping[str, Any]) -> Work:
        """Build each execution a request of its own."""
        case, count = CASES[order["case"]], order["count"]
        content_hash = self.bundles.add(bundle(wasm(order["engine"])))
        requests = [case.request(content_hash, number) for number in range(count)]

        async def run() -> Counts:
            answered = self.server.answered
            for request in requests:
                response = await self.runner.execute(request)
                if response.status != case.status or response.body() != case.answer:
                    raise WrongAnswer(response)
            return {"done": count, "checked": count, "host_calls": self.server.answered - answered}

        return run


class FirstAnswer(Contestant):
    """The first execution of a process, whose component is in the code cache: from the end of imports to the answer."""

    async def prepare(self, order: Mapping[str, Any]) -> Work:
        """Read the file: a server has a store for that."""
        case, bundles = CASES[order["case"]], MemoryBundles()
        request = case.request(bundles.add(bundle(wasm(order["engine"]))))
        settings = Settings(code_cache=order["code_cache"])

        async def run() -> Counts:
            cpu_s, started = process_time(), perf_counter()
            async with Runner(settings, alga=CleanServer(), bundles=bundles) as runner:
                response = await runner.execute(request)
                took_s, cpu_s = perf_counter() - started, process_time() - cpu_s
                if response.body() != case.answer:
                    raise WrongAnswer(response)
            return {"done": 1, "first_ms": took_s * 1000, "first_cpu_ms": cpu_s * 1000}

        return run
