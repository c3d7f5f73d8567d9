"""Where a guest was when it stopped."""

from __future__ import annotations

import ctypes

import pytest

from alga_runner.engine import Guest, _capi, drive, traps
from alga_runner.engine.guest import _ERROR

pytestmark = pytest.mark.anyio

_stop_callback = ctypes.CFUNCTYPE(ctypes.c_void_p, *[ctypes.c_void_p] * 4)
_error_new = ctypes.CFUNCTYPE(ctypes.c_void_p, ctypes.c_char_p)(("wasmtime_error_new", _capi._library))
_set_callback = ctypes.CFUNCTYPE(None, *[ctypes.c_void_p] * 4)(
    ("wasmtime_store_epoch_deadline_callback", _capi._library)
)


async def test_a_guest_stopped_by_its_owner_leaves_its_stack(linked, limits):
    @_stop_callback
    def stop(*_: object) -> int:
        return _error_new(b"stopped")

    with Guest(linked, limits) as guest:
        guest.instantiate()
        await drive(guest, lambda *_: None)
        _set_callback(guest._store, _capi.address(stop), None, None)
        guest.call("spin", 7)
        while not _capi.future_poll(guest._future):
            pass
        error = ctypes.c_void_p.from_buffer(guest._scratch, _ERROR)
        frames = traps.take_frames(error.value or 0)
        error.value = None

    assert frames == ("turn", "spin")
