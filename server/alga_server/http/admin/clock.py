"""The development clock over HTTP: where it stands, and putting it forward. Only where ``allow_clock`` says so."""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Any

import anyio
from fastapi import APIRouter
from pydantic import AwareDatetime, Field
from starlette.requests import Request

from alga_common.wire import is_loopback

from ...clock import MovableClock
from ...errors import CapabilityDenied, ValidationFailed
from ...firing.time_travel import TimeTravel, travel
from ...schedules.schedules import rfc3339
from ..answers import ClockShown, Travelled
from ..dependencies import Services
from ..openapi import described
from ..responses import Answer, read_json_object
from .models import AdminInput, parse, run_answer

MAX_STEP = timedelta(days=366)


class _Step(AdminInput):
    days: float = Field(default=0, ge=0, le=366)
    hours: float = Field(default=0, ge=0, le=366 * 24)
    minutes: float = Field(default=0, ge=0, le=366 * 24 * 60)
    seconds: float = Field(default=0, ge=0, le=366 * 24 * 60 * 60)


class _Move(AdminInput):
    """One of the two: a step from now, or the instant to arrive at."""

    advance: _Step | None = None
    to: AwareDatetime | None = Field(default=None, strict=False)


def add_clock(router: APIRouter, services: Services, clock: MovableClock) -> None:
    """``GET`` and ``POST /api/admin/clock``, for callers on this machine."""
    one_at_a_time = anyio.Lock()

    @router.get("/clock", **described(ClockShown, refusals=(403,)))
    async def shown(request: Request) -> Answer:
        _check_local(request)
        return Answer({"now": rfc3339(clock.now())})

    @router.post("/clock", **described(Travelled, body=_Move, refusals=(403, 503)))
    async def move(request: Request) -> Answer:
        _check_local(request)
        wanted = parse(_Move, await read_json_object(request, services.settings.max_request_bytes))
        async with one_at_a_time:
            journey = await travel(
                clock, services.dispatcher, services.database, _target(wanted, clock.now())
            )
        return Answer(_journey_answer(journey))


def _target(wanted: _Move, now: datetime) -> datetime:
    if (wanted.advance is None) == (wanted.to is None):
        raise ValidationFailed("Give either advance or to")
    if wanted.to is not None:
        target, field = wanted.to, "to"
    else:
        target, field = now + timedelta(**(wanted.advance or _Step()).model_dump()), "advance"
    if target < now:
        raise ValidationFailed(field_errors={field: "A clock does not go back"})
    if target - now > MAX_STEP:
        raise ValidationFailed(field_errors={field: f"At most {MAX_STEP.days} days at once"})
    return target


def _journey_answer(journey: TimeTravel) -> dict[str, Any]:
    return {
        "now": rfc3339(journey.now),
        "fired": [run_answer(each) for each in journey.fired],
        "arrived": journey.arrived,
    }


def _check_local(request: Request) -> None:
    if request.client is None or not is_loopback(request.client.host):
        raise CapabilityDenied("The clock is moved from this machine only")
