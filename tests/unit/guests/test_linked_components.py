"""Components that are linked take a bounded amount of memory each, which is free again when they are."""

from __future__ import annotations

import gc
import subprocess
import sys
from pathlib import Path

import pytest

from alga_runner.capabilities import Gate
from alga_runner.engine import Component
from alga_runner.guests.component import ComponentHost, ComponentProgram
from alga_runner.guests.session import SessionLimits
from alga_runner.telemetry import Telemetry
from tests.stress.resident import resident_kb
from tests.support.component_world import OK, WORLD, world_component
from tests.support.components import component, component_engine
from tests.support.patience import PATIENCE_S

ROOT = Path(__file__).parents[3]
MARK = (0x1234567).to_bytes(4, "little")
MOST_KB_EACH = 250
"""For a component of 7 KB with all 25 functions of the world; 180 were measured."""


def different(count: int) -> list[bytes]:
    """Components that import all of the world and differ in the bytes of their memory alone."""
    mark = "".join(f"\\{byte:02x}" for byte in MARK)
    names = [f"{interface} {function}" for interface, function in WORLD.functions]
    one = world_component(OK, names, code=f'(data (i32.const 5000) "{mark}")')
    assert one.count(MARK) == 1
    return [one.replace(MARK, number.to_bytes(4, "little")) for number in range(count)]


def measure() -> None:
    """Print the KB that linked components took each, and the KB that as many others took in their place."""
    host = ComponentHost(
        Gate(Telemetry()), SessionLimits(1000, 1000, 1_000_000, 10_000, 1000, 10_000, 10_000)
    )
    wasms = different(110)

    def link(some: list[bytes]) -> list[ComponentProgram]:
        return [host.link(Component(component_engine(), wasm)) for wasm in some]

    def taken_kb() -> int:
        gc.collect()
        return resident_kb()

    link(wasms[:10])
    before = taken_kb()
    programs = link(wasms[10:60])
    linked = taken_kb()
    programs.clear()
    gc.collect()
    programs += link(wasms[60:])
    sys.stdout.write(f"{(linked - before) // len(programs)} {taken_kb() - linked}\n")


@pytest.mark.processes
def test_fifty_different_components_take_little_and_leave_room_for_as_many_others() -> None:
    done = subprocess.run(
        [sys.executable, "-c", f"from {__name__} import measure; measure()"],
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=PATIENCE_S,
        check=False,
    )

    assert (done.returncode, done.stderr) == (0, "")
    each_kb, more_kb = map(int, done.stdout.split())
    assert each_kb < MOST_KB_EACH
    assert more_kb < 10 * MOST_KB_EACH


def test_components_share_the_types_of_functions_that_are_equal() -> None:
    text = '(component (import "test:host/api" (instance (export "call" (func (param "name" u8))))))'

    one, other = component(text), component(text)

    assert one.imports[0].type is other.imports[0].type
