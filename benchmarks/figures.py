"""Measured values: samples with their spread, and results under dotted keys."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from statistics import median, quantiles
from typing import Self


@dataclass(frozen=True, slots=True)
class Spread:
    """The median of ``samples`` numbers, and the quartiles that half of them lie between."""

    median: float
    low: float
    high: float
    samples: int

    @classmethod
    def of(cls, numbers: Iterable[float]) -> Self:
        """Of at least one number."""
        samples = sorted(numbers)
        low, _, high = quantiles(samples, n=4, method="inclusive") if len(samples) > 1 else (samples[0],) * 3
        return cls(median(samples), low, high, len(samples))

    @classmethod
    def of_ratios(cls, above: Sequence[float], below: Sequence[float]) -> Self:
        """Of the ratios of pairs that were measured one right after the other."""
        return cls.of(a / b for a, b in zip(above, below, strict=True))

    def document(self) -> dict[str, float]:
        """As JSON has it."""
        return {
            "median": rounded(self.median),
            "q1": rounded(self.low),
            "q3": rounded(self.high),
            "samples": self.samples,
        }


@dataclass(frozen=True, slots=True)
class Result:
    """One key. ``counts`` prove that the work was done; ``figures`` are the absolute numbers behind the value."""

    key: str
    value: float | None
    """``None``: it could not be measured; ``note`` has the reason."""
    spread: Spread | None = None
    counts: Mapping[str, int] = field(default_factory=dict)
    figures: Mapping[str, Spread | float] = field(default_factory=dict)
    note: str = ""

    @classmethod
    def ratio(
        cls,
        key: str,
        above: Sequence[float],
        below: Sequence[float],
        *,
        counts: Mapping[str, int],
        figures: Mapping[str, Spread | float],
        note: str = "",
    ) -> Self:
        """The median ratio of pairs that were measured one right after the other."""
        spread = Spread.of_ratios(above, below)
        return cls(key, spread.median, spread, counts, figures, note)


def rounded(number: float) -> float:
    """``number`` with four significant digits; whole numbers stay whole."""
    return number if float(number).is_integer() else float(f"{number:.4g}")
