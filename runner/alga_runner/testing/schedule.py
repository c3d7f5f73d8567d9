"""A schedule as an admin sees it."""

from __future__ import annotations

from ..models import ScheduleInfo


class Schedule(ScheduleInfo):
    """What its extension sees, who made it (``host_api`` or ``admin_api``), and when it fires next (RFC 3339)."""

    trigger: str
    next_run_at: str | None = None
