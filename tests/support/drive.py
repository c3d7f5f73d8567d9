"""Guests inside an event loop: what answers their host calls, and where they are freed."""

from __future__ import annotations

import threading
from collections.abc import Awaitable, Callable
from typing import Any

import anyio
import pytest

from alga_runner.engine import Guest

Run = Callable[..., Awaitable[None]]
"""Calls an export of a fresh guest."""


class Time:
    """Whether iterations of the loop have time for guests."""

    left = True


async def never(_function: int, _arguments: tuple[Any, ...]) -> None:
    await anyio.sleep_forever()


async def immediately(_function: int, _arguments: tuple[Any, ...]) -> None:
    """An answer that is a coroutine, and does not wait."""


def record_frees(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The threads in which guests are freed from now on, in order."""
    threads: list[str] = []
    close = Guest.close

    def record(guest: Guest, *, release_gil: bool = False) -> None:
        if guest.alive:
            threads.append(threading.current_thread().name)
        close(guest, release_gil=release_gil)

    monkeypatch.setattr(Guest, "close", record)
    return threads
