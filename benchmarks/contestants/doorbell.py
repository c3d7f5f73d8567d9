"""A caller in another process that rings and waits for the answer: ``python -m benchmarks.contestants.doorbell FD``.

A process of its own, so that a ring does not wait until the event loop has time for it. It reads how often
to ring, then sends the time of each ring and waits for a byte, with a pause before the next.
"""

from __future__ import annotations

import asyncio
import random
import socket
import struct
import subprocess
import sys
import time
from collections.abc import Awaitable, Callable
from types import TracebackType
from typing import Self

_PAUSE_S = 0.003
_count = struct.Struct("=I")
_time = struct.Struct("=d")


class Doorbell:
    """Use it as a context manager."""

    def __enter__(self) -> Self:
        self._socket, theirs = socket.socketpair()
        with theirs:
            self._process = subprocess.Popen(
                [sys.executable, "-m", __name__, str(theirs.fileno())], pass_fds=[theirs.fileno()]
            )
        self._socket.setblocking(False)
        return self

    def __exit__(
        self,
        exc_type: type[BaseException] | None,
        exc: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self._socket.close()
        self._process.wait()

    async def ring(self, count: int, answer: Callable[[], Awaitable[None]]) -> list[float]:
        """Seconds from each of ``count`` rings until ``answer`` had been given, in order of length."""
        loop = asyncio.get_running_loop()
        await loop.sock_sendall(self._socket, _count.pack(count))
        took = []
        for _ in range(count):
            data = await loop.sock_recv(self._socket, _time.size)
            await answer()
            took.append(time.monotonic() - _time.unpack(data)[0])
            await loop.sock_sendall(self._socket, b"\0")
        return sorted(took)


def main(fd: int) -> None:
    """Ring until the other side is gone."""
    pauses = random.Random(fd)  # noqa: S311 - so that they do not keep step with anything
    with socket.socket(fileno=fd) as door:
        while order := door.recv(_count.size):
            for _ in range(_count.unpack(order)[0]):
                time.sleep(_PAUSE_S * (0.5 + pauses.random()))
                door.send(_time.pack(time.monotonic()))
                if not door.recv(1):
                    return


if __name__ == "__main__":
    main(int(sys.argv[1]))
