"""Who has the most, of many whose holdings change all the time."""

from __future__ import annotations

import heapq
from typing import Generic, TypeVar

T = TypeVar("T", bound=bytes | str | int)


class Heaviest(Generic[T]):
    """Holders and what each has. A change and a look cost the logarithm of how many there are.

    The heap keeps what was true once; what is no longer true is skipped, and swept out when it is most of the heap.
    """

    def __init__(self) -> None:
        self._has: dict[T, int] = {}
        self._heap: list[tuple[int, T]] = []

    def set(self, holder: T, amount: int) -> None:
        """``holder`` has ``amount`` now; with 0 it is forgotten."""
        if not amount:
            self._has.pop(holder, None)
            return
        self._has[holder] = amount
        heapq.heappush(self._heap, (-amount, holder))
        if len(self._heap) > 2 * len(self._has) + 64:
            self._heap = [(-has, each) for each, has in self._has.items()]
            heapq.heapify(self._heap)

    def first(self) -> T:
        """The one with the most; of equals, the least by name. Raises ``IndexError`` when nobody has anything."""
        while self._has.get(self._heap[0][1]) != -self._heap[0][0]:
            heapq.heappop(self._heap)
        return self._heap[0][1]
