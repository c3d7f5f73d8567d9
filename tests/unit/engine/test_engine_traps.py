"""Where a guest was when it stopped."""

from __future__ import annotations

import pytest

from alga_runner.engine import Guest, drive

pytestmark = pytest.mark.anyio


async def test_a_guest_stopped_by_its_owner_leaves_its_stack(linked, limits):
    with Guest(linked, limits) as guest:
        guest.instantiate()
        await drive(guest, lambda *_: None)
        guest.call("spin", 7)
        slices = [guest.poll() for _ in range(3)]
        frames = guest.interrupt()

    assert slices == [False] * 3
    assert frames == ("turn", "spin")


async def test_a_guest_that_waits_for_an_answer_has_no_stack_to_leave(linked, limits):
    with Guest(linked, limits) as guest:
        guest.instantiate()
        await drive(guest, lambda *_: None)
        guest.answerer = None
        guest.call("note", 7)
        while guest.pending is None:
            guest.poll()

        assert guest.interrupt() == ()


async def test_a_guest_that_is_done_cannot_be_polled(linked, limits):
    with Guest(linked, limits) as guest:
        guest.instantiate()
        await drive(guest, lambda *_: None)

        with pytest.raises(RuntimeError, match="nothing to run"):
            guest.poll()


async def test_a_guest_that_is_done_is_not_run_again_to_stop_it(linked, limits):
    with Guest(linked, limits) as guest:
        guest.instantiate()
        await drive(guest, lambda *_: None)

        assert guest.interrupt() == ()
