"""A schedule's two policies: for occurrences that were not fired in time, and for runs that failed."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import timedelta
from typing import Any, Literal

from sqlalchemy import Row

MisfireKind = Literal["skip", "latest", "all"]
MISFIRE_KINDS: tuple[MisfireKind, ...] = ("skip", "latest", "all")

MAX_ATTEMPTS = 10
MAX_DELAY_S = 24 * 60 * 60
MAX_FACTOR = 10

NONE_WAITING: dict[str, Any] = {
    "retry_at": None,
    "retry_attempt": None,
    "retry_nominal_time": None,
    "retry_due_at": None,
}
"""The columns of a schedule of which no attempt waits."""


@dataclass(frozen=True, slots=True)
class RetryPolicy:
    """``attempts`` in all; before the second ``delay_s`` seconds pass, and ``factor`` times as many each time after."""

    attempts: int = 1
    delay_s: int = 60
    factor: int = 2

    def wait_after(self, attempt: int) -> timedelta | None:
        """From the end of a failed attempt to the next, at most a day; ``None`` when it was the last."""
        if attempt >= self.attempts:
            return None
        return timedelta(seconds=min(self.delay_s * self.factor ** (attempt - 1), MAX_DELAY_S))


def policy_of(row: Row[*tuple[Any, ...]]) -> RetryPolicy:
    """The policy in a row of the schedules."""
    return RetryPolicy(row.max_attempts, row.retry_delay_s, row.retry_factor)
