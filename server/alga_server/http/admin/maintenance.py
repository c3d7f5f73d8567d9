"""Reconciling schedules with their jobs, and the development clock."""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Annotated

from fastapi import Depends
from pydantic import AwareDatetime, Field
from starlette.requests import Request

from alga_common.wire import is_loopback

from ...clock import MovableClock
from ...errors import CapabilityDenied, ValidationFailed
from ...firing.reconcile.checks import Kind
from ...firing.reconcile.reconciler import Reconciliation
from ...firing.time_travel import TimeTravel, travel
from ..dependencies import Services, ServicesDep, services_of
from ..schemas import Input, Instant, Output, refused
from .router import admin_router
from .runs import RunShown

MAX_STEP = timedelta(days=366)


class DiscrepancyShown(Output):
    """A schedule, or a run of one, whose job was inconsistent."""

    discrepancy: Annotated[Kind, Field(validation_alias="kind")]
    repaired: bool
    tenant_id: str
    install_id: str
    schedule_id: str
    run_id: str | None


class Reconciled(Output):
    """How many schedules were examined, and the discrepancies."""

    examined: int
    discrepancies: list[DiscrepancyShown]


router = admin_router()


@router.get("/reconciliation", response_model=Reconciled)
async def check(services: ServicesDep) -> Reconciliation:
    """List discrepancies of all tenants and change nothing."""
    return await services.reconciler.look()


@router.post("/reconciliation", response_model=Reconciled)
async def repair(services: ServicesDep) -> Reconciliation:
    """List discrepancies of all tenants and repair them."""
    return await services.reconciler.reconcile()


class _Step(Input):
    days: float = Field(default=0, ge=0, le=366)
    hours: float = Field(default=0, ge=0, le=366 * 24)
    minutes: float = Field(default=0, ge=0, le=366 * 24 * 60)
    seconds: float = Field(default=0, ge=0, le=366 * 24 * 60 * 60)


class ClockMove(Input):
    """One of the two: a step from now, or the instant to move to."""

    advance: _Step | None = None
    to: AwareDatetime | None = Field(default=None, strict=False)


class ClockShown(Output):
    """The time of the development clock."""

    now: Instant


class Travelled(ClockShown):
    """The runs that fired meanwhile; ``arrived`` is false when the clock stopped before its target."""

    fired: list[RunShown]
    arrived: bool


def check_local(request: Request) -> None:
    """Refuse callers on other machines. Raises ``CapabilityDenied``."""
    if request.client is None or not is_loopback(request.client.host):
        raise CapabilityDenied("Only callers on this machine may do this")


clock_router = admin_router()
"""Included only if the server allows its clock to be moved; answers only callers on this machine."""

clock_router.dependencies.append(Depends(check_local))


def _movable(services: Annotated[Services, Depends(services_of)]) -> MovableClock:
    if services.movable_clock is None:
        raise CapabilityDenied("The clock of this server cannot be moved")
    return services.movable_clock


_Clock = Annotated[MovableClock, Depends(_movable)]


@clock_router.get("/clock", response_model=ClockShown, responses=refused(403))
async def show(clock: _Clock) -> ClockShown:
    """Show the time of the clock."""
    return ClockShown(now=clock.now())


@clock_router.post("/clock", response_model=Travelled, responses=refused(400, 403, 413, 503))
async def move(services: ServicesDep, clock: _Clock, body: ClockMove) -> TimeTravel:
    """Put the clock forward; due schedules fire in order, each at its instant."""
    async with services.clock_moves:
        return await travel(clock, services.dispatcher, services.database, _target(body, clock.now()))


def _target(move: ClockMove, now: datetime) -> datetime:
    if (move.advance is None) == (move.to is None):
        raise ValidationFailed("Give either advance or to")
    if move.to is not None:
        target, field = move.to, "to"
    else:
        target, field = now + timedelta(**(move.advance or _Step()).model_dump()), "advance"
    if target < now:
        raise ValidationFailed(field_errors={field: "A clock does not go back"})
    if target - now > MAX_STEP:
        raise ValidationFailed(field_errors={field: f"At most {MAX_STEP.days} days in one request"})
    return target
