"""A component meets the limits of one execution, in total and item by item, and ends as the runner stops."""

from __future__ import annotations

import asyncio
import gc
import weakref
from typing import Any

import anyio
import pytest

from alga_runner import Observation, Runner, Settings
from alga_runner.alga import Identity, NoAlgaServer
from alga_runner.bundles import MemoryBundles
from alga_runner.models import ScheduleInfo
from tests.support.bundles import make_bundle
from tests.support.component_relay import LIBC
from tests.support.component_world import OK, world_component
from tests.support.components import with_realloc
from tests.support.requests import execute_request

pytestmark = pytest.mark.anyio

LOG = "logging log-info"
EVERYTHING = ("cap:log.emit", "cap:scheduler.manage", "cap:context.read")


def logs(length: int) -> str:
    return f"(call $logging.log-info (i32.const 1024) (i32.const {length}))"


def repeats(body: str) -> str:
    return f"(loop {body} (br 0)) (unreachable)"


def responds(*, headers: int = 0, body: int = 0) -> str:
    """A handler that answers 200 with so many headers, without a name and value, and so many bytes of body."""
    return f"""(drop (memory.grow (i32.const 30)))
      (i32.store16 (i32.const 0) (i32.const 200))
      (i32.store (i32.const 4) (i32.const 1024)) (i32.store (i32.const 8) (i32.const {headers}))
      (i32.store (i32.const 12) (i32.const 1))
      (i32.store (i32.const 16) (i32.const 1024)) (i32.store (i32.const 20) (i32.const {body})) (i32.const 0)"""


@pytest.fixture
def settings(request: pytest.FixtureRequest) -> Settings:
    limits: dict[str, Any] = getattr(request, "param", {})
    return Settings(max_guests=8, max_guests_per_tenant=8, max_memory_mb=4, code_cache="off", **limits)


@pytest.mark.parametrize(
    ("settings", "handler", "imports", "code", "hint"),
    [
        ({"max_host_calls": 50}, repeats(logs(1)), LOG, "host_call_limit", "See max_host_calls."),
        ({"max_log_lines": 5}, repeats(logs(1)), LOG, "log_limit", None),
        ({"max_log_bytes": 500}, repeats(logs(100)), LOG, "log_limit", None),
        ({"max_copied_bytes": 5000}, repeats(logs(1000)), LOG, "copy_limit", "See max_copied_bytes."),
        (
            {"max_copied_bytes": 500},
            repeats("(call $context.get-context (i32.const 512))"),
            "context get-context",
            "copy_limit",
            "See max_copied_bytes.",
        ),
        ({"max_items": 2}, responds(headers=3), LOG, "message_limit", "See max_items."),
        (
            {"max_component_body_bytes": 1000},
            responds(body=1001),
            LOG,
            "invalid_response",
            "See max_component_body_bytes.",
        ),
        (
            {"max_component_body_bytes": 5000, "max_body_bytes": 1000},
            responds(body=1001),
            LOG,
            "invalid_response",
            "See max_body_bytes.",
        ),
    ],
    indirect=["settings"],
)
async def test_a_component_meets_each_limit_with_the_code_and_the_setting_of_the_limit(
    observe, handler: str, imports: str, code: str, hint: str
) -> None:
    observation = await observe(world_component(handler, [imports]), providers=EVERYTHING)

    assert observation.error.code == code
    assert observation.error.hint == hint


@pytest.mark.parametrize("settings", [{"max_component_body_bytes": 1000}], indirect=True)
async def test_a_request_whose_body_is_too_large_for_a_component_is_refused_before_anything_runs(
    observe,
) -> None:
    component = world_component("unreachable", [LOG])

    observation = await observe(component, body=bytes(1001))

    assert observation.error.code == "request_invalid"
    assert observation.error.hint == "See max_component_body_bytes."


@pytest.mark.parametrize("settings", [{"max_request_bytes": 1000}], indirect=True)
async def test_a_line_of_a_component_s_log_that_is_too_long_is_cut(observe) -> None:
    component = world_component(logs(20_000) + OK, [LOG])

    observation = await observe(component, providers=EVERYTHING)

    assert observation.response is not None
    (line,) = observation.log
    assert line.truncated


class Silent(NoAlgaServer):
    """An Alga server that does not answer."""

    def __init__(self) -> None:
        self.asked = anyio.Event()

    async def list_schedules(self, identity: Identity, deadline: float) -> list[ScheduleInfo]:
        self.asked.set()
        await anyio.sleep_forever()
        return []


SPIN = "(loop (br 0))"
ENDLESS = {
    "in its start function": world_component(code=f"(func $spin {SPIN}) (start $spin)"),
    "while it allocates": world_component(libc=with_realloc(LIBC, f"{SPIN} i32.const 0")),
    "in its handler": world_component(f"{SPIN} i32.const 0"),
    "after it returned": world_component(post_return=SPIN),
}


@pytest.mark.parametrize("component", ENDLESS.values(), ids=ENDLESS)
@pytest.mark.parametrize(
    ("limits", "code"), [({"timeout_ms": 150}, "deadline_exceeded"), ({"cpu_ms": 5}, "cpu_limit")]
)
async def test_a_component_that_computes_without_end_meets_its_limits_wherever_it_does(
    observe, component: bytes, limits: dict[str, int], code: str
) -> None:
    await observe(component, cpu_ms=1)  # compiles it

    observation = await observe(component, **limits)

    assert observation.error.code == code


async def stopped(settings: Settings, component: bytes, server: NoAlgaServer) -> Observation:
    """The outcome of a component that a stopping runner ends, once its guest is there."""
    bundles = MemoryBundles()
    request = execute_request(bundles.add(make_bundle(component)), providers=list(EVERYTHING))
    async with Runner(settings, bundles=bundles, alga=server) as runner:
        task = asyncio.ensure_future(runner.observe(request))
        if isinstance(server, Silent):
            await server.asked.wait()
        while not runner._under_way:
            await anyio.lowlevel.checkpoint()
    assert not runner._under_way
    return await task


@pytest.mark.parametrize("component", ENDLESS.values(), ids=ENDLESS)
async def test_a_runner_that_stops_ends_components_that_compute(settings, component: bytes) -> None:
    observation = await stopped(settings, component, NoAlgaServer())

    assert (observation.error.code, str(observation.error)) == (
        "engine_unavailable",
        "The runner stopped before the handler was done.",
    )


async def test_a_runner_that_stops_ends_a_component_in_a_host_call(settings) -> None:
    calls = "(call $scheduler.list-schedules (i32.const 512))" + OK

    observation = await stopped(settings, world_component(calls, ["scheduler list-schedules"]), Silent())

    assert str(observation.error) == "The runner stopped before the handler was done."
    assert [call.status for call in observation.host_calls] == ["cancelled"]


async def test_a_component_in_a_host_call_ends_at_its_deadline_in_that_call(settings) -> None:
    calls = "(call $scheduler.list-schedules (i32.const 512))" + OK
    component = world_component(calls, ["scheduler list-schedules"])
    bundles = MemoryBundles()
    request = execute_request(
        bundles.add(make_bundle(component)), providers=list(EVERYTHING), limits={"timeout_ms": 500}
    )

    async with Runner(settings, bundles=bundles, alga=Silent()) as runner:
        observation = await runner.observe(request)

    assert observation.error.code == "deadline_exceeded"
    assert observation.error.where["host_call"] == "scheduler.list"


async def test_what_a_component_was_linked_with_is_freed_once_its_program_made_room_for_another(
    settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("alga_runner.execution.programs.MAX_PROGRAMS", 1)
    bundles = MemoryBundles()
    first, second = (
        execute_request(bundles.add(make_bundle(world_component(OK, imports)))) for imports in ([LOG], [])
    )

    async with Runner(settings, bundles=bundles) as runner:
        await runner.execute(first)
        program = runner._programs.loaded("acme", "ext", first.context.content_hash)
        parts = weakref.ref(program.linked._parts)
        del program
        await runner.execute(second)
        gc.collect()

        assert parts() is None
