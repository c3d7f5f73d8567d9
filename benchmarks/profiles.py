"""Where the microseconds of one execution go: samples turned into time, by room and by function."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass

from .sampling import ELSEWHERE, GUEST, IDLE, MEASURING, SERVER

_GROUPS = (
    (GUEST, GUEST),
    (SERVER, SERVER),
    (ELSEWHERE, ELSEWHERE),
    ("engine/guest.py Guest._run", GUEST),
    ("engine/native/guest.py NativeGuest._run", GUEST),
    ("engine/drive.py", "engine: turns and slices"),
    ("engine/loop_scheduler.py", "engine: turns and slices"),
    ("engine/budget.py", "engine: turns and slices"),
    ("execution/", "runner: deadline, limits, records"),
    ("engine/", "engine: store, calls, memory, end"),
    ("guests/", "guest ABI: messages and imports"),
    ("capabilities/", "gate and operations"),
    ("models/", "models"),
    ("telemetry/", "metrics and log lines"),
    ("alga/", "the Alga server's client"),
    ("service/", "service"),
    ("", "runner: deadline, limits, records"),
)
"""The first that a function's name begins with is its group; the native helper's one call counts as the guest."""


@dataclass(frozen=True, slots=True)
class Profile:
    """Microseconds by function, for doing ``what`` once."""

    what: str
    total_us: float
    by_function: Mapping[str, float]
    samples: int

    @classmethod
    def of(cls, what: str, samples: Mapping[str, float], total_us: float) -> Profile:
        """``total_us`` shared out by ``samples`` of functions, the benchmark's own loop left out."""
        busy = {name: count for name, count in samples.items() if name != IDLE}
        all_samples = sum(busy.values())
        by_function = {
            name: total_us * count / all_samples for name, count in busy.items() if name != MEASURING
        }
        return cls(what, sum(by_function.values()), by_function, int(all_samples))

    def less(self, other: Profile, what: str, times: int) -> Profile:
        """What this has beyond ``other``, for doing it once instead of ``times``."""
        names = {*self.by_function, *other.by_function}
        by_function = {
            name: (self.by_function.get(name, 0.0) - other.by_function.get(name, 0.0)) / times
            for name in names
        }
        return Profile(what, (self.total_us - other.total_us) / times, by_function, self.samples)

    def document(self) -> dict[str, object]:
        """As JSON has it."""
        return {
            "what": self.what,
            "total_us": round(self.total_us, 2),
            "samples": self.samples,
            "groups": {name: round(spent, 2) for name, spent in self.by_group.items()},
            "functions": {name: round(spent, 2) for name, spent in self.dearest},
        }

    @property
    def by_group(self) -> dict[str, float]:
        """Microseconds by group, the dearest first."""
        groups: Counter[str] = Counter()
        for name, microseconds in self.by_function.items():
            groups[group_of(name)] += microseconds  # type: ignore[assignment]
        return dict(groups.most_common())

    @property
    def dearest(self) -> list[tuple[str, float]]:
        """Functions and their microseconds, the dearest first."""
        return sorted(self.by_function.items(), key=lambda pair: -pair[1])


def group_of(function: str) -> str:
    """The group of ``file function``."""
    return next(group for start, group in _GROUPS if function.startswith(start))
