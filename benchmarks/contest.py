"""Contestants that take turns: A B C, C B A, A B C, ... in batches of some ten milliseconds.

What disturbs the machine then disturbs them all, and a ratio is taken of neighbours. Medians do the rest.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

from .figures import Spread
from .processes import Batch, Child

_FIRST_COUNT = 20
_FEW = 4
_PATIENCE = 4
"""Times a batch's CPU time that one may take on the clock, on a busy machine, before it is enough to go by."""


@dataclass(frozen=True, slots=True)
class Entry:
    """One measured thing: a child, and the order that it gets."""

    child: Child
    order: Mapping[str, Any] = field(default_factory=dict)


@dataclass(slots=True)
class Timings:
    """What each round took of one entry, in microseconds for doing the work once."""

    wall_us: list[float] = field(default_factory=list)
    cpu_us: list[float] = field(default_factory=list)
    counts: Counter[str] = field(default_factory=Counter)

    def add(self, batch: Batch) -> None:
        """One more round."""
        self.wall_us.append(batch.wall_s / batch.done * 1e6)
        self.cpu_us.append(batch.cpu_s / batch.done * 1e6)
        self.counts.update({name: int(count) for name, count in batch.counts.items()})

    @property
    def wall(self) -> Spread:
        """Time on the clock."""
        return Spread.of(self.wall_us)

    @property
    def cpu(self) -> Spread:
        """CPU time, of all threads."""
        return Spread.of(self.cpu_us)


def contest(
    entries: Mapping[str, Entry], *, rounds: Iterable[int], batch_s: float | None
) -> dict[str, Timings]:
    """Have every entry do its work for about ``batch_s`` seconds in each of ``rounds``; ``None`` is a few times.

    Raises ``ChildFailed``.
    """
    counts = {name: _calibrated(entry, batch_s) if batch_s else _FEW for name, entry in entries.items()}
    timings = {name: Timings() for name in entries}
    names = list(entries)
    for _ in rounds:
        for name in names:
            entry = entries[name]
            timings[name].add(entry.child.ask(count=counts[name], **entry.order))
        names.reverse()
    return timings


def _calibrated(entry: Entry, batch_s: float) -> int:
    """How often the work is done in a batch. The first times load and compile, and are not counted."""
    for _ in range(2):
        entry.child.ask(count=_FEW, **entry.order)
    count = _FIRST_COUNT
    while True:
        batch = entry.child.ask(count=count, **entry.order)
        if batch.cpu_s >= batch_s / 2 or batch.wall_s >= _PATIENCE * batch_s:
            return max(1, round(count * batch_s / batch.cpu_s))
        count = min(count * 8, round(count * batch_s / max(batch.cpu_s, 1e-6)) + 1)
