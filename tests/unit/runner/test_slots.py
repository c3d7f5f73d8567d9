"""What slots keep after their guests has room in the process's memory: otherwise there are fewer slots."""

from __future__ import annotations

import logging

import pytest

from alga_runner import Runner, Settings
from alga_runner.engine import kept_bytes
from alga_runner.execution.sizing import KEPT_PART
from alga_runner.settings import MIB

pytestmark = pytest.mark.anyio

STACK_BYTES = 1 << 20


async def capacity_of(settings: Settings, caplog: pytest.LogCaptureFixture) -> tuple[int, logging.LogRecord]:
    """How many guests a runner with ``settings`` has room for, and its log line."""
    with caplog.at_level(logging.INFO):
        async with Runner(settings) as runner:
            guests = runner.admission.bounds.executing
    (line,) = (record for record in caplog.records if getattr(record, "action", "") == "capacity")
    return guests, line


async def test_a_process_with_little_memory_has_fewer_guests_and_says_why(caplog: pytest.LogCaptureFixture):
    settings = Settings(max_guests=100, max_process_memory_mb=64, wasm_stack_bytes=STACK_BYTES)

    guests, line = await capacity_of(settings, caplog)

    assert guests < 100
    assert guests * kept_bytes(STACK_BYTES) <= KEPT_PART * 64 * MIB
    assert (guests + 1) * kept_bytes(STACK_BYTES) > KEPT_PART * 64 * MIB
    assert line.levelno == logging.WARNING
    assert "100 were asked for" in line.getMessage()


async def test_a_smaller_stack_has_room_for_more_guests(caplog: pytest.LogCaptureFixture):
    settings = Settings(max_guests=100, max_process_memory_mb=64, wasm_stack_bytes=128 * 1024)

    guests, line = await capacity_of(settings, caplog)

    assert guests == 100
    assert line.levelno == logging.INFO
