"""Trying a failed run again, by its schedule's policy: how often, and how long it waits before each attempt.

The attempt that waits stands beside its schedule, so a restart forgets nothing; it has the nominal time of the first.
Functions take a connection and run in its transaction, and name the tenant and the install.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from sqlalchemy import Connection, Row, select, update

from . import tables
from .runs import Run

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


def after_failure(connection: Connection, run: Run, now: datetime) -> None:
    """A run failed or was lost: its next attempt waits, if its schedule is live and grants one.

    Only what the clock fired is tried again; whoever asks for a run sees how it went.
    """
    if run.trigger != "schedule":
        return
    schedule = tables.schedule.c
    mine = (
        (schedule.tenant_id == run.tenant_id)
        & (schedule.install_id == run.install_id)
        & (schedule.id == run.schedule_id)
    )
    query = select(
        schedule.max_attempts, schedule.retry_delay_s, schedule.retry_factor, schedule.next_run_at
    ).where(mine)
    row = connection.execute(query.with_for_update(of=tables.schedule)).one_or_none()
    wait = None if row is None or row.next_run_at is None else policy_of(row).wait_after(run.attempt)
    if wait is not None:
        values = {
            "retry_at": now + wait,
            "retry_attempt": run.attempt + 1,
            "retry_nominal_time": run.nominal_time,
            "retry_due_at": run.due_at,
        }
        connection.execute(update(tables.schedule).where(mine).values(values))
