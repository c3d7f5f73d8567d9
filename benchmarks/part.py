"""A part of the benchmark, and what it is run with."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from importlib.util import find_spec
from time import perf_counter
from typing import TypeVar

from .contest import Entry, Timings, contest
from .figures import Result
from .profiles import Profile

T = TypeVar("T")

PART_S = 45.0
FEWEST = 3


@dataclass(frozen=True, slots=True)
class Effort:
    """How much is measured. ``quick`` is for trying the benchmark itself: its numbers mean nothing."""

    quick: bool
    core: int
    """The core that is measured."""
    load_core: int
    """The core of the process that sends the load."""
    advance: Callable[[float], None]
    """Called with the part's progress, from 0 to 1."""

    def size(self, full: T, quick: T) -> T:
        """One of the two."""
        return quick if self.quick else full

    def rounds(self, full: int) -> Iterator[int]:
        """Count up to ``full`` rounds, or two when quick, and show how far it is.

        On a machine that is busy otherwise, a part ends after ``PART_S`` seconds, if it had ``FEWEST`` rounds by then.
        """
        count = self.size(full, 2)
        until = perf_counter() + PART_S
        for number in range(count):
            yield number
            self.advance((number + 1) / count)
            if number + 1 >= FEWEST and perf_counter() > until:
                return

    def contest(self, entries: dict[str, Entry], *, rounds: int, batch_s: float) -> dict[str, Timings]:
        """``contest`` with progress; when quick, with batches of a few."""
        return contest(entries, rounds=self.rounds(rounds), batch_s=None if self.quick else batch_s)


@dataclass(frozen=True, slots=True)
class Part:
    """What ``python -m benchmarks NAME`` runs; ``keys`` are its results, in order."""

    name: str
    keys: tuple[str, ...]
    needs: tuple[str, ...]
    """Modules of peers: without them the results that compare with them stay empty."""
    run: Callable[[Effort], Sequence[Result]]
    profile: Callable[[Effort], Sequence[Profile]] | None = None
    """What ``--profile`` runs instead."""

    @property
    def missing(self) -> tuple[str, ...]:
        """Those of ``needs`` that are not installed."""
        return tuple(module for module in self.needs if find_spec(module) is None)


def peer_missing(key: str, peer: str) -> Result:
    """The result of a comparison whose peer is not installed."""
    return Result(key, None, note=f"{peer} is not installed; make setup-bench installs it")
