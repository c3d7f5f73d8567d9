"""Where a guest was when it was stopped."""

from __future__ import annotations

import pytest

from alga_runner.engine import Guest, run_call
from alga_runner.errors import AbiBreach, CopyLimit, GuestTrap

pytestmark = pytest.mark.anyio


async def started(guest: Guest, export: str) -> None:
    """Start a call of ``export`` in a guest that is instantiated."""
    guest.instantiate()
    await run_call(guest, lambda *_: None)
    guest.call(export, 7)


def names(frames) -> list[str]:
    return [frame.function for frame in frames]


async def test_a_guest_that_computes_leaves_its_stack(linked, limits):
    with linked.new_guest(limits) as guest:
        await started(guest, "spin")
        for _ in range(3):  # a slice may end as a function begins, once in each
            assert not guest.poll()

        assert names(guest.interrupt()) == ["turn", "spin"]


async def test_a_guest_that_waits_for_an_answer_leaves_its_stack(linked, limits):
    with linked.new_guest(limits) as guest:
        await started(guest, "note")
        while guest.pending is None:
            guest.poll()

        assert len(guest.interrupt()) == 1


async def test_a_guest_that_has_left_its_stack_has_none_any_more(linked, limits):
    with linked.new_guest(limits) as guest:
        await started(guest, "spin")
        guest.poll()
        guest.interrupt()

        assert guest.interrupt() == ()


async def test_a_guest_that_ended_by_itself_has_none(linked, limits):
    with linked.new_guest(limits) as guest:
        await started(guest, "count")
        await run_call(guest, lambda *_: None)

        assert guest.interrupt() == ()


async def test_a_guest_that_is_done_cannot_be_polled(linked, limits):
    with linked.new_guest(limits) as guest:
        guest.instantiate()
        await run_call(guest, lambda *_: None)

        with pytest.raises(RuntimeError, match="nothing to run"):
            guest.poll()


@pytest.mark.parametrize("kind", ["linked", "answered"])
async def test_an_answer_that_breaks_off_learns_the_host_call_and_the_stack(request, limits, kind: str):
    def refuse(*_: object) -> None:
        raise CopyLimit("Enough.")

    async def refuse_later(*_: object) -> None:
        raise CopyLimit("Enough.")

    with request.getfixturevalue(kind).new_guest(limits) as guest:
        await started(guest, "note")
        with pytest.raises(CopyLimit) as caught:
            await run_call(guest, refuse if kind == "answered" else refuse_later)

    assert caught.value.where == {"host_call": "host note"}
    assert len(caught.value.frames) == 1


async def test_an_answer_s_own_words_for_its_host_call_stand(linked, limits):
    def refuse(*_: object) -> None:
        raise AbiBreach("No.").at(host_call="scheduler.list")

    with linked.new_guest(limits) as guest:
        await started(guest, "note")
        with pytest.raises(AbiBreach) as caught:
            await run_call(guest, refuse)

    assert caught.value.where == {"host_call": "scheduler.list"}


async def test_a_fault_of_the_host_is_left_as_it_is(linked, limits):
    async def fail(*_: object) -> None:
        raise KeyError("host")

    with linked.new_guest(limits) as guest:
        await started(guest, "note")
        with pytest.raises(KeyError) as caught:
            await run_call(guest, fail)

    assert vars(caught.value) == {}


async def test_a_trap_knows_its_place_in_the_module(linked, limits):
    with linked.new_guest(limits) as guest:
        await started(guest, "boom")
        with pytest.raises(GuestTrap) as caught:
            await run_call(guest, lambda *_: None)

    (frame,) = caught.value.frames
    assert 0 < frame.offset < 2_000


async def test_a_guest_that_was_stopped_gives_its_slot_back(linked, limits, engine):
    for export in ["spin", "note"] * 4:
        with linked.new_guest(limits) as guest:
            await started(guest, export)
            guest.poll()
            guest.interrupt()

    assert engine.ticker.live == 0
