"""A guest that waits for an Alga server, which looks meanwhile at what the process has of the guest's request."""

from __future__ import annotations

import gc
from typing import Any

import anyio

from alga_runner import ExecuteRequest
from alga_runner.alga import Identity, NoAlgaServer
from alga_runner.models import ScheduleInfo
from tests.support.guests import LIST_IMPORT

LISTS = "(drop (call $list (i32.const 1024) (i32.const 1) (i32.const 4096) (i32.const 4096)))"
ANSWERS = "(call $respond (i32.const 0) (global.get $ok))"
"""Parts of a handler: it lists the schedules, and answers."""

LISTING: dict[str, Any] = {"imports": LIST_IMPORT, "data": b"\x80"}
"""For ``guest_wat``: what a handler with ``LISTS`` needs besides."""


class LookingServer(NoAlgaServer):
    """Answers ``list`` with nothing, and later than it is asked."""

    def __init__(self) -> None:
        self.paths: list[str] | None = None
        """Of the requests there were in the last look."""

    async def list_schedules(self, identity: Identity, deadline: float) -> list[ScheduleInfo]:
        """Look once the guest waits."""
        await anyio.lowlevel.checkpoint()
        self.paths = [item.http.path for item in gc.get_objects() if type(item) is ExecuteRequest]
        return []
