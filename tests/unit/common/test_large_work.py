"""Work that cannot be cut is done a piece at a time for each owner, and leaves the loop to others in between."""

from __future__ import annotations

import anyio
import pytest

from alga_common.sharing.large_work import LargeWorkQueue

pytestmark = pytest.mark.anyio


class Time:
    """Seconds that pass while work is done or a task sleeps; others run meanwhile."""

    def __init__(self) -> None:
        self.now = 0.0
        self.log: list[tuple[str, float]] = []

    def clock(self) -> float:
        return self.now

    async def sleep(self, seconds: float) -> None:
        until = self.now + seconds
        self.log.append(("sleep", round(seconds, 6)))
        await anyio.lowlevel.checkpoint()
        self.now = max(self.now, until)

    def work(self, name: str, seconds: float) -> str:
        self.log.append((name, round(self.now, 6)))
        self.now += seconds
        return name


@pytest.fixture
def time() -> Time:
    return Time()


@pytest.fixture
def heavy(time: Time) -> LargeWorkQueue:
    return LargeWorkQueue(time.clock, time.sleep)


async def test_an_owner_rests_for_twice_as_long_as_it_worked(heavy: LargeWorkQueue, time: Time):
    assert await heavy.run("acme", lambda: time.work("a1", 0.003)) == "a1"
    await heavy.run("acme", lambda: time.work("a2", 0.001))

    assert time.log == [("a1", 0.0), ("sleep", 0.006), ("a2", 0.009)]


async def test_another_owner_does_not_wait_for_that(heavy: LargeWorkQueue, time: Time):
    await heavy.run("acme", lambda: time.work("a", 0.003))
    await heavy.run("globex", lambda: time.work("g", 0.003))

    assert time.log == [("a", 0.0), ("g", 0.003)]


async def test_one_owner_s_pieces_go_one_after_the_other(heavy: LargeWorkQueue, time: Time):
    async def run(name: str) -> None:
        await heavy.run("acme", lambda: time.work(name, 0.002))

    async with anyio.create_task_group() as tasks:
        for name in ("a1", "a2", "a3"):
            tasks.start_soon(run, name)

    assert [name for name, _ in time.log if name != "sleep"] == ["a1", "a2", "a3"]
    assert [at for name, at in time.log if name != "sleep"] == [0.0, 0.006, 0.012]


async def test_work_that_fails_rests_too_and_the_next_is_done(heavy: LargeWorkQueue, time: Time):
    def fail() -> None:
        time.work("a1", 0.002)
        raise ValueError("no")

    with pytest.raises(ValueError, match="no"):
        await heavy.run("acme", fail)
    await heavy.run("acme", lambda: time.work("a2", 0.001))

    assert time.log[-1] == ("a2", 0.006)


async def test_one_that_gives_up_while_it_rests_lets_the_next_through(heavy: LargeWorkQueue, time: Time):
    await heavy.run("acme", lambda: time.work("a1", 0.002))
    with anyio.CancelScope() as scope:
        scope.cancel()
        await heavy.run("acme", lambda: time.work("never", 0.001))

    await heavy.run("acme", lambda: time.work("a2", 0.001))

    assert [name for name, _ in time.log if name != "sleep"] == ["a1", "a2"]


async def test_owners_who_have_rested_are_forgotten(heavy: LargeWorkQueue, time: Time):
    for number in range(1_000):
        await heavy.run(f"tenant {number}", lambda: time.work("a", 0.001))

    assert len(heavy.known) <= 64


async def test_work_of_unknown_size_waits_for_nothing_while_it_is_small(
    heavy: LargeWorkQueue, time: Time
) -> None:
    for _ in range(5):
        async with heavy.charged("acme") as work:
            work.charge(0.003)

    assert time.log == []
    assert heavy.known == {}


async def test_after_work_that_was_large_the_owner_rests_and_then_goes_one_at_a_time(
    heavy: LargeWorkQueue, time: Time
) -> None:
    async with heavy.charged("acme") as work:
        work.charge(0.01)
    under_way = most = 0

    async def call() -> None:
        nonlocal under_way, most
        async with heavy.charged("acme") as work:
            under_way += 1
            most = max(most, under_way)
            await anyio.lowlevel.checkpoint()
            under_way -= 1
            work.charge(0.005)

    async with anyio.create_task_group() as tasks:
        for _ in range(3):
            tasks.start_soon(call)

    assert most == 1
    assert time.log == [("sleep", 0.02), ("sleep", 0.01), ("sleep", 0.01)]


async def test_large_work_that_began_together_is_charged_in_full(heavy: LargeWorkQueue, time: Time) -> None:
    async with heavy.charged("acme") as first, heavy.charged("acme") as second:
        first.charge(0.01)
        second.charge(0.01)

    async with heavy.charged("acme"):
        pass

    assert time.log == [("sleep", 0.04)]


async def test_another_owner_waits_for_none_of_it(heavy: LargeWorkQueue, time: Time) -> None:
    async with heavy.charged("acme") as work:
        work.charge(1.0)
    async with heavy.charged("globex"):
        pass

    assert time.log == []


@pytest.mark.parametrize(("seconds_later", "together"), [(0.9, 1), (1.1, 2)])
async def test_an_owner_goes_one_at_a_time_until_its_last_large_work_is_a_second_ago(
    heavy: LargeWorkQueue, time: Time, seconds_later: float, together: int
) -> None:
    async with heavy.charged("acme") as work:
        work.charge(0.01)
    time.now = seconds_later
    under_way = most = 0

    async def call() -> None:
        nonlocal under_way, most
        async with heavy.charged("acme"):
            under_way += 1
            most = max(most, under_way)
            await anyio.lowlevel.checkpoint()
            under_way -= 1

    async with anyio.create_task_group() as tasks:
        for _ in range(2):
            tasks.start_soon(call)

    assert most == together
    assert time.log == [], "it has rested"


async def test_work_that_is_large_from_the_start_waits_for_the_owner_s_other(
    heavy: LargeWorkQueue, time: Time
) -> None:
    under_way = most = 0

    async def call() -> None:
        nonlocal under_way, most
        async with heavy.charged("acme", large=True) as work:
            assert work.alone
            under_way += 1
            most = max(most, under_way)
            await anyio.lowlevel.checkpoint()
            under_way -= 1

    async with anyio.create_task_group() as tasks:
        for _ in range(3):
            tasks.start_soon(call)

    assert most == 1
    assert time.log == []


async def test_large_work_of_an_owner_has_the_owner_s_other_work_wait_for_it(heavy: LargeWorkQueue) -> None:
    ended = []

    async def small() -> None:
        async with heavy.charged("acme"):
            ended.append("small")

    async with heavy.charged("acme", large=True), anyio.create_task_group() as tasks:
        tasks.start_soon(small)
        await anyio.wait_all_tasks_blocked()
        ended.append("large")
        tasks.cancel_scope.cancel()

    assert ended == ["large"]
