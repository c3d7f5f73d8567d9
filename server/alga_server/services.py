"""What every route works with."""

from __future__ import annotations

from dataclasses import dataclass

from .bundle_copies import BundleCopies
from .clock import Clock, MovableClock
from .database import Database
from .dispatcher import Dispatcher
from .executions import Executor
from .metrics import Metrics
from .rate_limit import Rate
from .reconciler import Reconciler
from .schedules import Limits
from .settings import ServerSettings
from .tokens import ExecutionTokens


@dataclass(frozen=True, slots=True)
class Services:
    """One server's parts."""

    settings: ServerSettings
    clock: Clock
    database: Database
    metrics: Metrics
    tokens: ExecutionTokens
    executor: Executor
    bundles: BundleCopies
    dispatcher: Dispatcher
    reconciler: Reconciler
    movable_clock: MovableClock | None
    """The clock, where admins may put it forward."""

    @property
    def limits(self) -> Limits:
        """What an install may have."""
        return Limits(
            max_schedules=self.settings.max_schedules_per_install,
            min_interval_minutes=self.settings.min_schedule_interval_minutes,
        )

    @property
    def rate(self) -> Rate:
        """How often an extension may change its schedules."""
        return Rate(
            per_minute=self.settings.schedule_changes_per_minute, burst=self.settings.schedule_changes_burst
        )
