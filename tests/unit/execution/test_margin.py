"""The error of an execution that took too long reaches a caller that waits no longer than the time limit."""

from __future__ import annotations

from typing import cast

import anyio
import pytest

from alga_runner.alga import NoAlgaServer
from alga_runner.capabilities import Execution
from alga_runner.errors import AlgaError, DeadlineExceeded, GuestTrap
from alga_runner.execution.failure import add_context
from alga_runner.execution.margin import Margin
from alga_runner.execution.programs import Programs
from alga_runner.frames import Frame
from tests.support.patience import PASSED
from tests.support.requests import execute_request

pytestmark = pytest.mark.anyio

BARE = (Frame("spin", 7),)
LOCATED = (Frame("spin", 7, "main.c", 3),)


class SlowPrograms:
    """Programs whose lines take a while to be read."""

    async def located(self, *_: object) -> tuple[Frame, ...]:
        for _ in range(10):
            await anyio.lowlevel.checkpoint()
        return LOCATED


@pytest.mark.parametrize(
    ("error", "answer_s", "frames"),
    [
        (DeadlineExceeded(frames=BARE), 0.0, BARE),
        (DeadlineExceeded(frames=BARE), float("inf"), LOCATED),
        (GuestTrap("It trapped.", frames=BARE), 0.0, LOCATED),
    ],
    ids=["no time", "time", "another failure"],
)
async def test_lines_are_waited_for_only_as_long_as_the_caller_waits(
    error: AlgaError, answer_s: float, frames: tuple[Frame, ...]
) -> None:
    request = execute_request("sha256:" + "0" * 64)
    execution = Execution(request.context, frozenset(), NoAlgaServer(), PASSED)
    programs = cast("Programs", SlowPrograms())

    reported = await add_context(
        error, ("GET", "/"), execution, programs, timeout_s=30, margin=Margin(0.6, answer_s)
    )

    assert getattr(reported, "frames", None) == frames
