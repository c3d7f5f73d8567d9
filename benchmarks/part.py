"""A part of the benchmark, and what it is run with."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from importlib.util import find_spec
from typing import TypeVar

from .contest import Entry, Timings, contest
from .figures import Result
from .profiles import Profile

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Effort:
    """How much is measured. ``quick`` is for trying the benchmark itself: its numbers mean nothing."""

    quick: bool
    core: int
    """The core that is measured."""
    load_core: int
    """The core that the load comes from."""
    advance: Callable[[float], None]
    """Told how far the part is, from 0 to 1."""

    def size(self, full: T, quick: T) -> T:
        """One of the two."""
        return quick if self.quick else full

    def contest(self, entries: dict[str, Entry], *, rounds: int, batch_s: float) -> dict[str, Timings]:
        """``contest`` with progress; when quick, with two tiny rounds."""
        rounds = self.size(rounds, 2)
        done = 0

        def after_round() -> None:
            nonlocal done
            done += 1
            self.advance(done / rounds)

        return contest(entries, rounds=rounds, batch_s=self.size(batch_s, 0.0005), after_round=after_round)


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
    """The result of a comparison with nobody."""
    return Result(key, None, note=f"{peer} is not installed; make setup-bench installs it")
