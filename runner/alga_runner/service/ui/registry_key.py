"""The key that the registry is shown: the setting's, or that of a file, which may be replaced at any time."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from pathlib import Path

import anyio
import anyio.to_thread

from alga_common.http.semantics import is_header_value

KEY_USED_S = 1.0
"""How long a key is used before its file is read again."""

_MAX_KEY_BYTES = 4 * 1024


class KeyFile:
    """A file's key, read once at a time and once a second at most, however many questions there are.

    A file system that hangs holds one thread; questions wait for it in their own time. ``clock`` gives seconds.
    """

    def __init__(self, file: Path, clock: Callable[[], float]) -> None:
        self._file = file
        self._clock = clock
        self._key = ""
        self._read_again = float("-inf")
        self._reading: asyncio.Task[None] | None = None

    async def read(self) -> str:
        """The key, as it was a second ago at most; empty without one."""
        if self._clock() >= self._read_again:
            if self._reading is None:
                self._reading = asyncio.create_task(self._read())
            await asyncio.shield(self._reading)
        return self._key

    async def _read(self) -> None:
        began = self._clock()
        limiter = anyio.CapacityLimiter(1)  # the default one's threads are for other work
        try:
            self._key = await anyio.to_thread.run_sync(
                _first_line, self._file, abandon_on_cancel=True, limiter=limiter
            )
            self._read_again = began + KEY_USED_S
        finally:
            self._reading = None


def _first_line(file: Path) -> str:
    """The key in ``file``; empty without one that a header can hold."""
    try:
        with file.open("rb") as opened:
            text = opened.read(_MAX_KEY_BYTES).decode().strip()
    except (OSError, UnicodeDecodeError):
        return ""
    return text if is_header_value(text) else ""
