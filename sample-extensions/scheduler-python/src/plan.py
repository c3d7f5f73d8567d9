"""The schedules this extension wants to have."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from alga_extension import Json, ScheduleInfo

SYNC_PATH = "/sync"
HOURLY = "Hourly sync"
NIGHTLY = "Nightly full sync"


@dataclass(frozen=True)
class Planned:
    """One schedule to create. A schedule is known by its name."""

    name: str
    cron: str
    timezone: str
    payload: Json
    endpoint: str = SYNC_PATH


PLAN = (
    Planned(HOURLY, "0 * * * *", "UTC", {"full": False}),
    Planned(NIGHTLY, "30 2 * * *", "Europe/Berlin", {"full": True}),
)


def named(schedules: Iterable[ScheduleInfo], name: str) -> ScheduleInfo | None:
    """The schedule of that name."""
    return next((schedule for schedule in schedules if schedule.name == name), None)
