"""A component meets the limits of one execution, in total and item by item."""

from __future__ import annotations

import weakref
from typing import Any

import pytest

from alga_runner import Runner, Settings
from alga_runner.bundles import MemoryBundles
from alga_runner.execution.program_cache import CacheBounds
from alga_runner.hints import HINTS
from tests.support import garbage
from tests.support.bundles import make_bundle
from tests.support.component_world import OK, world_component
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
        ({"max_log_lines": 5}, repeats(logs(1)), LOG, "log_limit", HINTS["log_limit"]),
        ({"max_log_bytes": 500}, repeats(logs(100)), LOG, "log_limit", HINTS["log_limit"]),
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


async def test_what_a_component_was_linked_with_is_freed_once_its_program_made_room_for_another(
    settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("alga_runner.runner.cache_bounds", lambda *_: CacheBounds(1, 1))
    bundles = MemoryBundles()
    first, second = (
        execute_request(bundles.add(make_bundle(world_component(OK, imports)))) for imports in ([LOG], [])
    )

    with garbage.of_its_own() as collect:
        async with Runner(settings, bundles=bundles) as runner:
            await runner.execute(first)
            program = runner._programs.loaded("acme", "ext", first.context.content_hash)
            parts = weakref.ref(program.linked._parts)
            del program
            await runner.execute(second)
            collect()

            assert parts() is None
