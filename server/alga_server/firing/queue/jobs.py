"""How a worker learns of a due schedule: the interface between schedules and the engine that fires them.

A schedule's columns say when it is due; its *job* is what brings that to a worker. Jobs follow their schedules inside
the transactions that change them, by the engine's own means: code that writes schedules does not call it.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Awaitable, Callable, Mapping
from datetime import datetime

from sqlalchemy import Connection

from ..due import DueSchedule
from ..reconcile.checks import Discrepancy

Fire = Callable[[DueSchedule, datetime], Awaitable[None]]
"""Carries out the job of a schedule that is due at that instant; returns once a job for the next one exists."""


class JobRunner(ABC):
    """One engine."""

    session: Mapping[str, str] = {}
    """Settings of the database's sessions, without which it does not see what they write."""

    apart: bool = False
    """Whether jobs are apart from their schedules' rows, so that either can be without the other."""

    @property
    @abstractmethod
    def dispatcher_looks(self) -> bool:
        """Whether the dispatcher queries for due schedules; otherwise jobs report them."""

    @abstractmethod
    async def run(self, fire: Fire) -> None:
        """Bring due schedules to ``fire``, until cancelled."""

    @abstractmethod
    def put_back(self, connection: Connection, due: DueSchedule) -> None:
        """In this transaction, give the schedule a fresh job: the worker that has the present one stops."""

    @abstractmethod
    def discrepancies(self, connection: Connection) -> list[Discrepancy]:
        """What no transaction could have left as it is; nothing is changed."""

    @abstractmethod
    def repair(self, connection: Connection) -> list[Discrepancy]:
        """Give every schedule its job and no other; what was wrong. Cheap only where ``discrepancies`` found some."""


class EmbeddedJobs(JobRunner):
    """The schedule's own row is its job: it cannot be lost, or be there alone. The dispatcher looks at the rows."""

    @property
    def dispatcher_looks(self) -> bool:
        """It does."""
        return True

    async def run(self, fire: Fire) -> None:
        """There is nothing to bring."""

    def put_back(self, connection: Connection, due: DueSchedule) -> None:
        """It never left."""

    def discrepancies(self, connection: Connection) -> list[Discrepancy]:
        """There can be none."""
        return []

    def repair(self, connection: Connection) -> list[Discrepancy]:
        """There is nothing to repair."""
        return []
