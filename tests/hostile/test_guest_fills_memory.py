"""Much memory of one guest is freed in the CPU thread: 256 MiB in use take 9 ms."""

from __future__ import annotations

import sys

import pytest

from alga_runner import Settings
from tests.support.drive import record_frees
from tests.support.patience import PATIENT

pytestmark = pytest.mark.anyio

FILL = "(memory.fill (i32.const 65536) (i32.const 1) (i32.const 16711680))"


@pytest.fixture
def settings() -> Settings:
    return Settings(max_guests=8, max_memory_mb=16, **PATIENT)


@pytest.fixture
def freed(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The threads in which guests were freed."""
    monkeypatch.setattr(sys.modules["alga_runner.engine.drive"], "OVERRUN_S", 0.0)
    return record_frees(monkeypatch)


async def test_much_memory_of_a_guest_that_responds_is_freed_there(observe, guest_wat, freed: list[str]):
    guest = guest_wat(f"{FILL} (call $respond (i32.const 0) (global.get $ok))", pages=256)

    observation = await observe(guest)

    assert observation.response is not None
    assert freed == ["alga-runner-cpu"]


async def test_much_memory_of_a_guest_that_ran_out_of_it_is_freed_there(observe, guest_wat, freed: list[str]):
    observation = await observe(guest_wat(f"{FILL} unreachable", pages=256))

    assert observation.error.code == "memory_limit"
    assert "16777216 of 16777216 bytes" in str(observation.error)
    assert freed == ["alga-runner-cpu"]
