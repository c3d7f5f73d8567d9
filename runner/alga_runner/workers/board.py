"""How many connections each worker has, in memory that all of them see."""

from __future__ import annotations

import mmap
import os
from types import TracebackType
from typing import Self

_ABSENT = -1
_BYTES = 4


class ConnectionCounts:
    """A seat for each worker, with its number of open connections; a worker that takes none is absent.

    Each worker writes its own seat alone, a word at a time, so no lock is needed. What another wrote may be a moment
    old, which is good enough to choose by.
    """

    def __init__(self, descriptor: int) -> None:
        self.descriptor = descriptor
        self._memory = mmap.mmap(descriptor, 0)
        self._seats = memoryview(self._memory).cast("i")

    @classmethod
    def create(cls, seats: int) -> Self:
        """A board on which everybody is absent."""
        descriptor = os.memfd_create("alga-runner-board", os.MFD_CLOEXEC)
        os.ftruncate(descriptor, seats * _BYTES)
        board = cls(descriptor)
        for seat in range(seats):
            board.leave(seat)
        return board

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._seats.release()
        self._memory.close()
        os.close(self.descriptor)

    def set(self, seat: int, connections: int) -> None:
        """The worker at ``seat`` has so many, and takes more."""
        self._seats[seat] = connections

    def leave(self, seat: int) -> None:
        """The worker at ``seat`` takes no more, or is gone."""
        self._seats[seat] = _ABSENT

    def fewest(self) -> int:
        """The fewest connections that a worker has which takes more; 0 if there is none."""
        return min((count for count in self._seats if count != _ABSENT), default=0)
