"""What every route works with."""

from __future__ import annotations

from dataclasses import dataclass

from ..catalog.bundle_sync import BundleCopies
from ..clock import Clock, MovableClock
from ..execution.executions import Executor
from ..execution.tokens import ExecutionTokens
from ..firing.dispatcher import Dispatcher
from ..firing.reconcile.reconciler import Reconciler
from ..metrics import Metrics
from ..schedules.rate_limit import Rate
from ..schedules.schedules import Limits
from ..settings import ServerSettings
from ..storage.database import Database


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
