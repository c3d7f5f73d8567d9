"""The thread for guests that compute: whoever lends it a guest has it back, whatever happens meanwhile.

Where the order of events matters the worker has no thread of its own: a test carries out its slices one by one.
"""

from __future__ import annotations

import asyncio
import threading
import weakref
from collections.abc import AsyncIterator, Awaitable, Callable, Coroutine, Iterator
from contextlib import suppress
from typing import Any

import anyio
import pytest

from alga_runner.engine import Budget, Guest, GuestLimits, LinkedModule, run_call
from alga_runner.engine.cpu_thread import CpuThread
from alga_runner.errors import CpuLimit, DeadlineExceeded, EngineUnavailable, GuestTrap
from alga_runner.frames import Frame

pytestmark = pytest.mark.anyio

PASSED = 0.0
"""A deadline that has passed, as a reading of ``time.monotonic()``."""

Start = Callable[..., Guest]


class Refused(Exception):
    """A host's own exception."""


class ByHand(CpuThread):
    """A worker whose slices the test carries out: ``by_hand._run_slice()``."""

    def _start(self) -> None:
        self._thread = threading.current_thread()

    def stop(self) -> None:
        self._thread = None
        super().stop()


@pytest.fixture
async def by_hand() -> AsyncIterator[ByHand]:
    worker = ByHand()
    yield worker
    worker.stop()


@pytest.fixture
def polled(monkeypatch: pytest.MonkeyPatch) -> list[Guest]:
    """Whose slices were run, in order."""
    guests: list[Guest] = []
    poll = Guest.poll

    def record(guest: Guest, *, release_gil: bool = False) -> bool:
        guests.append(guest)
        return poll(guest, release_gil=release_gil)

    monkeypatch.setattr(Guest, "poll", record)
    return guests


@pytest.fixture
def worker() -> Iterator[CpuThread]:
    """A worker with a thread of its own."""
    worker = CpuThread()
    yield worker
    worker.stop()


@pytest.fixture
def start(linked: LinkedModule, answered: LinkedModule, limits) -> Iterator[Start]:
    """Start a call in a fresh guest, which has its host calls answered at once if there is an answer.

    Gives the guest, which the test's end closes.
    """
    guests: list[Guest] = []

    def begin(export: str, argument: int = 1, *, answer: Callable[..., Any] | None = None) -> Guest:
        guest = Guest(answered if answer else linked, limits)
        guests.append(guest)
        guest.instantiate()
        assert guest.poll()
        guest.answerer = answer
        guest.call(export, argument)
        return guest

    yield begin
    for guest in guests:
        guest.close()
    assert linked.engine.ticker.live == 0


async def lend(worker: CpuThread, guest: Guest, budget: Budget | None = None) -> asyncio.Task[bool]:
    """A task that has lent its guest to ``worker``."""
    task = asyncio.get_running_loop().create_task(worker.run(guest, budget or Budget()))
    await turn()
    return task


async def turn(times: int = 3) -> None:
    for _ in range(times):
        await asyncio.sleep(0)


def names(stack: tuple[Frame, ...]) -> list[str]:
    return [frame.function for frame in stack]


async def failure_of(work: Awaitable[object]) -> BaseException:
    try:
        await work
    except BaseException as error:  # noqa: BLE001
        return error
    raise AssertionError("it did not fail")


class TestOrder:
    async def test_guests_that_compute_on_take_slices_in_turn(
        self, by_hand: CpuThread, start: Start, polled: list[Guest]
    ):
        guests = [start("spin") for _ in range(3)]
        tasks = [await lend(by_hand, guest) for guest in guests]
        polled.clear()
        for _ in range(6):
            by_hand._run_slice()

        assert [guests.index(guest) for guest in polled] == [0, 1, 2, 0, 1, 2]
        await end(by_hand, tasks)

    async def test_a_guest_that_just_came_is_served_before_those_that_compute_on(
        self, by_hand: CpuThread, start: Start, polled: list[Guest]
    ):
        spinning = [await lend(by_hand, start("spin")) for _ in range(3)]
        for _ in range(3):
            by_hand._run_slice()
        quick = start("count")
        tasks = [*spinning, await lend(by_hand, quick)]

        by_hand._run_slice()

        assert polled[-1] is quick
        await end(by_hand, tasks)

    async def test_guests_that_come_without_end_do_not_keep_one_from_computing_on(
        self, by_hand: CpuThread, start: Start, polled: list[Guest]
    ):
        spinning = start("spin")
        tasks = [await lend(by_hand, spinning)]
        by_hand._run_slice()
        served: list[Guest] = []
        for _ in range(10):
            if by_hand.waiting < 2:
                tasks.append(await lend(by_hand, start("spin")))
            by_hand._run_slice()
            served.append(polled[-1])
            if served[-1] is not spinning:  # it goes, and another comes
                tasks[-1].cancel()
                await turn()
                served[-1].close()

        assert served.count(spinning) == 2
        await end(by_hand, tasks)

    async def test_a_guest_past_its_deadline_does_not_wait_behind_those_that_compute(
        self, by_hand: CpuThread, start: Start
    ):
        others = [await lend(by_hand, start("spin")) for _ in range(3)]
        budget = Budget()
        late = await lend(by_hand, start("spin"), budget)
        for _ in range(4):
            by_hand._run_slice()
        budget.deadline = PASSED
        late.cancel()
        await turn()

        by_hand._run_slice()
        by_hand._run_slice()  # one of the others may have been next
        await turn()

        assert late.cancelled()
        assert names(budget.stack) == ["turn", "spin"]
        await end(by_hand, others)


async def end(worker: CpuThread, tasks: list[asyncio.Task[bool]]) -> None:
    for task in tasks:
        task.cancel()
    await turn()
    await asyncio.wait(tasks)
    assert not worker.waiting


class TestCancellation:
    async def test_while_it_waits_for_its_slice_it_is_had_back_at_once(
        self, by_hand: CpuThread, start: Start
    ):
        task = await lend(by_hand, start("spin"))

        task.cancel()
        await turn()

        assert task.cancelled()
        assert not by_hand.waiting

    async def test_while_it_computes_it_is_had_back_at_the_end_of_the_slice(
        self, by_hand: CpuThread, start: Start, monkeypatch: pytest.MonkeyPatch
    ):
        guest = start("spin")
        task = await lend(by_hand, guest)
        running = by_hand._next_task()
        task.cancel()
        await turn()
        assert not task.done(), "nobody may touch a guest that another thread runs"
        monkeypatch.setattr(by_hand, "_next_task", lambda: running)

        by_hand._run_slice()
        await turn()

        assert task.cancelled()
        assert guest.reclaim is None

    async def test_asked_for_again_and_again_it_still_waits_for_the_end_of_the_slice(
        self, by_hand: CpuThread, start: Start, monkeypatch: pytest.MonkeyPatch
    ):
        task = await lend(by_hand, start("spin"))
        running = by_hand._next_task()
        for _ in range(5):
            task.cancel()
            await turn()
            assert not task.done()
        monkeypatch.setattr(by_hand, "_next_task", lambda: running)

        by_hand._run_slice()
        await turn()

        assert task.cancelled()

    async def test_that_came_while_a_deadline_was_waited_out_is_not_forgotten(
        self, by_hand: CpuThread, start: Start, monkeypatch: pytest.MonkeyPatch
    ):
        async def live() -> None:
            with anyio.CancelScope() as scope:
                scopes.append(scope)
                await by_hand.run(guest, Budget(deadline=PASSED))

        guest, scopes = start("spin"), []
        task = asyncio.get_running_loop().create_task(live())
        await turn()
        running = by_hand._next_task()
        scopes[0].cancel()
        await turn()
        task.cancel()
        await turn()
        monkeypatch.setattr(by_hand, "_next_task", lambda: running)
        by_hand._run_slice()
        await turn()

        assert task.cancelled()

    @pytest.mark.parametrize("export", ["count", "note", "boom"])
    async def test_as_it_finishes_is_a_cancellation(self, by_hand: CpuThread, start: Start, export: str):
        guest = start(export)
        task = await lend(by_hand, guest)
        while guest.reclaim is not None:
            by_hand._run_slice()

        task.cancel()
        await turn()

        assert task.cancelled()
        assert guest.reclaim is None

    async def test_of_a_guest_that_never_computed_has_no_stack_to_wait_for(
        self, by_hand: CpuThread, start: Start
    ):
        budget = Budget(deadline=PASSED)
        task = await lend(by_hand, start("spin"), budget)

        task.cancel()
        await turn()

        assert task.cancelled()
        assert budget.stack == ()


class TestEnd:
    async def test_the_cpu_budget_ends_it_with_its_stack_at_the_slice_that_used_it_up(
        self, by_hand: CpuThread, start: Start, monkeypatch: pytest.MonkeyPatch
    ):
        readings = iter(range(100))
        monkeypatch.setattr(
            "alga_runner.engine.cpu_thread.thread_time", lambda: next(readings)
        )  # 1 s a slice
        budget = Budget(cpu_s=2)
        task = await lend(by_hand, start("spin"), budget)
        slices = 0
        while not task.done():
            by_hand._run_slice()
            slices += 1
            await turn()

        error = await failure_of(task)
        assert isinstance(error, CpuLimit)
        assert error.frames == budget.stack
        assert names(error.frames) == ["turn", "spin"]
        assert (slices, budget.used_s) == (4, 3)  # the fourth only reads the stack

    async def test_the_deadline_ends_it_even_if_its_owner_s_loop_has_no_time_to_say_so(
        self, by_hand: CpuThread, start: Start
    ):
        budget = Budget()
        task = await lend(by_hand, start("spin"), budget)
        by_hand._run_slice()
        budget.deadline = PASSED

        by_hand._run_slice()

        error = await failure_of(task)
        assert isinstance(error, DeadlineExceeded)
        assert names(error.frames) == ["turn", "spin"]

    async def test_a_trap_reaches_its_owner_alone(self, by_hand: CpuThread, start: Start):
        trapping, spinning = start("boom"), start("spin")
        tasks = [await lend(by_hand, guest) for guest in (spinning, trapping, start("count"))]
        while not (tasks[1].done() and tasks[2].done()):
            by_hand._run_slice()
            await turn()

        assert isinstance(await failure_of(tasks[1]), GuestTrap)
        assert await tasks[2] is True
        assert not tasks[0].done()
        await end(by_hand, tasks[:1])

    async def test_what_an_answer_raises_in_the_worker_reaches_the_owner_as_it_is(
        self, worker: CpuThread, start: Start
    ):
        raised: dict[int, Refused] = {}

        def refuse(_function: int, arguments: tuple[int]) -> None:
            raised[arguments[0]] = Refused(threading.current_thread().name)
            raise raised[arguments[0]]

        tasks = [await lend(worker, start("note", number, answer=refuse)) for number in range(3)]
        errors = [await failure_of(task) for task in tasks]

        assert all(error is raised[number] for number, error in enumerate(errors))
        assert {str(error) for error in errors} == {"alga-runner-cpu"}

    async def test_a_fault_of_the_engine_s_own_ends_the_guest_it_happened_to_and_no_other(
        self, by_hand: CpuThread, start: Start, monkeypatch: pytest.MonkeyPatch
    ):
        def fail(_guest: Guest, *, release_gil: bool) -> tuple[str, ...]:
            raise MemoryError(str(release_gil))

        monkeypatch.setattr(Guest, "interrupt", fail)
        budget = Budget()
        tasks = [await lend(by_hand, start("spin"), budget), await lend(by_hand, start("spin"))]
        by_hand._run_slice()
        by_hand._run_slice()
        budget.cpu_s = 0
        by_hand._run_slice()

        assert isinstance(await failure_of(tasks[0]), MemoryError)
        assert by_hand._run_slice()
        assert not tasks[1].done()
        await end(by_hand, tasks[1:])

    async def test_nothing_of_a_guest_is_kept_once_it_is_back(self, by_hand: CpuThread, linked, limits):
        class Answers:
            def __call__(self, _function: int, _arguments: tuple[int]) -> None:
                raise Refused

        async def live(answers: Answers) -> None:
            with Guest(linked, limits) as guest:
                guest.instantiate()
                guest.poll()
                guest.answerer = answers
                guest.call("note", 1)
                with suppress(Refused):
                    await by_hand.run(guest, Budget())

        answers = Answers()
        kept = weakref.ref(answers)
        task = asyncio.get_running_loop().create_task(live(answers))
        del answers
        await turn()
        while by_hand.waiting:
            by_hand._run_slice()
        await task

        assert kept() is None, "neither by the worker nor by a cycle for the garbage collector"


async def spin(worker: CpuThread, linked: LinkedModule, limits: GuestLimits) -> None:
    with Guest(linked, limits) as guest:
        guest.instantiate()
        guest.poll()
        guest.call("spin", 1)
        await worker.run(guest, Budget())


def abandoned(coroutine: Coroutine[Any, Any, None]) -> tuple[asyncio.AbstractEventLoop, asyncio.Task[None]]:
    """A loop that stopped while the task of ``coroutine`` waits."""
    loop = asyncio.new_event_loop()
    loop.set_exception_handler(lambda *_: None)  # it would say that a task was destroyed
    task = loop.create_task(coroutine)
    loop.run_until_complete(turn())
    return loop, task


class TestLoops:
    def test_a_guest_whose_coroutine_is_thrown_away_is_freed_once_the_worker_let_go_of_it(
        self, worker: CpuThread, linked, limits
    ):
        coroutine = spin(worker, linked, limits)
        loop, _task = abandoned(coroutine)
        coroutine.close()

        assert (worker._running, worker.waiting) == (None, 0)
        assert linked.engine.ticker.live == 0
        loop.close()

    def test_a_guest_whose_owner_s_loop_was_closed_is_given_up(self, linked, limits):
        by_hand = ByHand()
        loop, task = abandoned(spin(by_hand, linked, limits))
        loop.close()
        del task
        assert linked.engine.ticker.live == 1

        by_hand._run_slice()

        assert not by_hand.waiting
        assert linked.engine.ticker.live == 0

    def test_loops_in_several_threads_share_it(self, worker: CpuThread, linked, limits):
        seen: list[str] = []

        async def live(answered_in: str) -> None:
            async def answer(_function: int, arguments: tuple[int]) -> None:
                seen.append(f"{arguments[0]} {answered_in == threading.current_thread().name}")

            for _ in range(20):
                with Guest(linked, limits) as guest:
                    guest.instantiate()
                    guest.poll()
                    guest.call("note", 5)
                    assert not await worker.run(guest, Budget())
                    call = guest.pending
                    assert call is not None
                    guest.resume(await answer(call.function, call.arguments))
                    assert await worker.run(guest, Budget())

        threads = [
            threading.Thread(target=asyncio.run, args=(live(f"loop {number}"),), name=f"loop {number}")
            for number in range(2)
        ]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()

        assert seen == ["5 True"] * 40
        assert linked.engine.ticker.live == 0


class TestProcess:
    async def test_without_a_thread_to_be_had_the_guest_ends_with_a_sentence(
        self, start: Start, monkeypatch: pytest.MonkeyPatch
    ):
        def fail(_thread: threading.Thread) -> None:
            raise RuntimeError("can't start new thread")

        monkeypatch.setattr(threading.Thread, "start", fail)
        worker, guest = CpuThread(), start("spin")

        with pytest.raises(EngineUnavailable, match="can't start new thread"):
            await worker.run(guest, Budget())
        assert guest.reclaim is None

    async def test_at_its_end_guests_that_wait_are_given_back_with_a_sentence(
        self, by_hand: CpuThread, start: Start
    ):
        tasks = [await lend(by_hand, start("spin")) for _ in range(3)]
        by_hand._run_slice()
        by_hand.stop()

        for task in tasks:
            assert isinstance(await failure_of(task), EngineUnavailable)

    async def test_after_its_end_none_is_taken(self, worker: CpuThread, start: Start):
        guest = start("count")
        worker.stop()

        with pytest.raises(EngineUnavailable, match="about to end"):
            await worker.run(guest, Budget())
        assert guest.reclaim is None


async def test_a_guest_that_spins_moves_to_the_worker_and_back_at_its_next_host_call(
    linked, limits, monkeypatch: pytest.MonkeyPatch
):
    events: list[str] = []
    poll = Guest.poll

    def record(guest: Guest, *, release_gil: bool = False) -> bool:
        events.append("beside" if threading.current_thread().name == "alga-runner-cpu" else "loop")
        return poll(guest, release_gil=release_gil)

    async def note(_function: int, arguments: tuple[int]) -> None:
        events.append(f"note {arguments[0]}")

    async def let_go_on() -> None:
        """It computes until it finds that it may go on."""
        while True:
            if guest.reclaim is not None:
                guest.memory.write(64, b"\1")
            await anyio.lowlevel.checkpoint()

    monkeypatch.setattr(Guest, "poll", record)
    with Guest(linked, limits) as guest:
        guest.instantiate()
        await run_call(guest, note)
        guest.call("work", 0)
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(let_go_on)
            await run_call(guest, note)
            tasks.cancel_scope.cancel()

    between = " ".join(events).split("note")
    assert between[0].endswith("beside ")
    assert between[1].startswith(" 1 loop ")
    assert between[2].startswith(" 2 loop ")
    assert between[3].startswith(" 3 loop ")
    assert between[3].endswith("beside ")
    assert between[4].startswith(" 4 loop")
