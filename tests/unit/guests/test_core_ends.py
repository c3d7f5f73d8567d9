"""What a core module's execution leaves when only its coroutine is closed, as garbage or with its loop."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from alga_runner.alga import NoAlgaServer
from alga_runner.capabilities import Execution, Gate
from alga_runner.engine import Budget, EngineConfig, Module
from alga_runner.engine.budget import UNLIMITED
from alga_runner.engine.context import engine_context
from alga_runner.guests.core import CoreHost
from alga_runner.guests.session import Session, SessionLimits
from alga_runner.telemetry import Telemetry
from tests.support.guests import compile_wat
from tests.support.requests import execute_request

pytestmark = pytest.mark.anyio

LIMITS = SessionLimits(10_000, 10_000, 1 << 24, 1 << 16, 1000, 1 << 16, 1 << 16)
ASKS = '(import "alga:abi" "request" (func $request (param i32 i32) (result i32)))'
SPINS = "(drop (call $request (i32.const 1024) (i32.const 1024))) (loop $on (br $on))"


async def test_what_a_guest_exchanged_is_looked_at_once_the_cpu_thread_runs_it_no_more(
    monkeypatch: pytest.MonkeyPatch, guest_wat: Callable[..., str]
) -> None:
    engine = engine_context.engine(EngineConfig(max_guests=2, max_memory_bytes=1 << 20))
    host = CoreHost(engine, Gate(Telemetry()), LIMITS)
    wasm = compile_wat(guest_wat(SPINS, imports=ASKS))
    request, budget = execute_request("sha256:" + "0" * 64), Budget()
    execution = Execution(request.context, frozenset(), NoAlgaServer(), UNLIMITED)
    running = host.execute(host.link(Module(engine, wasm), wasm), request, execution, engine.limits, budget)
    while budget.guest is None or budget.guest.reclaim is None:
        running.send(None)
    guest = budget.guest
    looked: list[object] = []
    monkeypatch.setattr(Session, "catch_up", lambda session: looked.append(session.guest.reclaim))

    running.close()

    assert looked == [None]
    assert not guest.alive
    assert not guest.exchanges  # what it did the exchange in is another guest's
