"""The parts of a server that its routes work with."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Annotated

import anyio
from fastapi import Depends
from starlette.requests import Request

from alga_common.http.memory import RequestMemory
from alga_common.readiness import Checks
from alga_common.sharing.weighted_limiter import WeightedLimiter

from ..capabilities.seed import SeedData
from ..catalog.bundle_sync import BundleCopies
from ..catalog.routes import RouteCache
from ..clock import Clock, MovableClock
from ..execution.executions import Executor
from ..execution.tokens import ExecutionTokens
from ..execution.warmup import Warmups
from ..firing.dispatcher import Dispatcher
from ..firing.reconcile.reconciler import Reconciler
from ..metrics import Metrics
from ..schedules.rate_limit import Rate
from ..schedules.schedules import Limits
from ..settings import ServerSettings
from ..storage.database import Database
from ..storage.small_reads import SmallReads
from .turns import Turns


@dataclass(frozen=True, slots=True)
class Services:
    """One server's parts; its app holds them as ``app.state.services``."""

    settings: ServerSettings
    clock: Clock
    database: Database
    small_reads: SmallReads
    metrics: Metrics
    tokens: ExecutionTokens
    executor: Executor
    bundles: BundleCopies
    warmups: Warmups
    dispatcher: Dispatcher
    reconciler: Reconciler
    checks: Checks
    turns: Turns
    gateway_memory: RequestMemory
    unpacking: WeightedLimiter
    seed: SeedData
    movable_clock: MovableClock | None
    """The clock, if admins may put it forward."""
    clock_moves: anyio.Lock = field(default_factory=anyio.Lock)
    """One move of the clock at a time."""
    routes: RouteCache = field(default_factory=RouteCache)

    @property
    def limits(self) -> Limits:
        """Return how many schedules an install may have, and how often they may fire."""
        return Limits(
            max_schedules=self.settings.max_schedules_per_install,
            min_interval_minutes=self.settings.min_schedule_interval_minutes,
        )

    @property
    def rate(self) -> Rate:
        """Return how often an extension may change its schedules."""
        return Rate(
            per_minute=self.settings.schedule_changes_per_minute, burst=self.settings.schedule_changes_burst
        )


def services_of(request: Request) -> Services:
    """Return the services of the app that serves ``request``."""
    services: Services = request.app.state.services
    return services


ServicesDep = Annotated[Services, Depends(services_of)]
"""A route's parameter of this type receives the server's services."""
