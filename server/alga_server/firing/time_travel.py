"""Putting a clock forward so that everything on the way happens, in order, each at its own instant."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from functools import partial

from ..clock import MovableClock
from ..storage.database import Database
from . import due
from .dispatcher import Dispatcher
from .runs import Run

MAX_FIRED = 1_000


@dataclass(frozen=True, slots=True)
class TimeTravel:
    """Where the clock is ``now``, and the runs ``fired`` on the way; ``arrived`` is false when that became too much."""

    now: datetime
    fired: list[Run]
    arrived: bool


async def travel(
    clock: MovableClock, dispatcher: Dispatcher, database: Database, target: datetime
) -> TimeTravel:
    """Put ``clock`` forward to ``target``, from one due instant to the next; at each, the runs end before it goes on.

    Stops on the way once ``MAX_FIRED`` runs were recorded. Raises ``DispatcherUnavailable``.
    """
    fired = await dispatcher.run_due()
    while len(fired) < MAX_FIRED:
        now = clock.now()
        due_at = await database.read(partial(due.next_due, now=now))
        if due_at is None or due_at > target:
            _move(clock, target)
            return TimeTravel(clock.now(), fired + await dispatcher.run_due(), arrived=True)
        _move(clock, due_at)
        fired += await dispatcher.run_due()
    return TimeTravel(clock.now(), fired, arrived=False)


def _move(clock: MovableClock, instant: datetime) -> None:
    if instant > clock.now():
        clock.move_to(instant)
