"""Work in threads: an owner has a share of the places, and rests after work that took long, however it ended."""

from __future__ import annotations

import threading
from collections.abc import Callable

import anyio
import anyio.lowlevel
import pytest

from alga_common.fair_limiter import SHARE
from alga_common.sharing import thread_turns
from alga_common.sharing.large_work import LargeWorkQueue
from alga_common.sharing.thread_turns import ThreadTurns
from tests.support.patience import PATIENCE_S

pytestmark = pytest.mark.anyio


class Time:
    """Seconds of CPU that work takes, and the rests of its owners, which pass immediately."""

    def __init__(self) -> None:
        self.now = 0.0
        self.rests: list[float] = []

    def clock(self) -> float:
        return self.now

    async def sleep(self, seconds: float) -> None:
        self.rests.append(round(seconds, 6))
        self.now += seconds

    def takes(self, seconds: float) -> Callable[[], None]:
        def work() -> None:
            self.now += seconds

        return work


@pytest.fixture
def time(monkeypatch: pytest.MonkeyPatch) -> Time:
    time = Time()
    monkeypatch.setattr(thread_turns, "thread_time", time.clock)
    return time


@pytest.fixture
def turns(time: Time) -> ThreadTurns:
    return ThreadTurns(2 * SHARE, LargeWorkQueue(time.clock, time.sleep))


async def test_an_owner_rests_for_twice_as_long_as_its_work_took_and_another_does_not(
    turns: ThreadTurns, time: Time
) -> None:
    await turns.run("loud", time.takes(0.1))
    await turns.run("quiet", time.takes(0.001))
    await turns.run("loud", time.takes(0.001))

    assert time.rests == [pytest.approx(0.199)]


async def test_work_that_fails_counts_as_well(turns: ThreadTurns, time: Time) -> None:
    def fail() -> None:
        time.now += 0.1
        raise ValueError("amiss")

    with pytest.raises(ValueError, match="amiss"):
        await turns.run("loud", fail)
    await turns.run("loud", time.takes(0.001))

    assert time.rests == [0.2]


async def test_an_owner_s_work_leaves_places_to_others(turns: ThreadTurns) -> None:
    go_on = threading.Event()
    begun: list[str] = []

    async def run(owner: str) -> None:
        def work() -> None:
            begun.append(owner)
            assert go_on.wait(PATIENCE_S)

        await turns.run(owner, work)

    with anyio.fail_after(PATIENCE_S):
        async with anyio.create_task_group() as tasks:
            for _ in range(5):
                tasks.start_soon(run, "loud")
            while len(begun) < 2:
                await anyio.lowlevel.checkpoint()
            tasks.start_soon(run, "quiet")
            while "quiet" not in begun:
                await anyio.lowlevel.checkpoint()
            at_once = list(begun)
            go_on.set()

    assert at_once == ["loud", "loud", "quiet"]
