"""The schedule fires: the clock moves to its time, and the handler runs."""

from __future__ import annotations

import re
from datetime import datetime, timedelta
from typing import Any

from ..failures import Failed
from .stage import ACME, Stage
from .steps import HOURLY

_SAID = re.compile(r"Sync: trigger (\w+), schedule (\S+), nominal time (\S+), payload (.*)\.", re.DOTALL)
"""What the sample's ``POST /sync`` logs."""


def fire(stage: Stage) -> None:
    """Its run is in the history, and the handler was told why it ran."""
    schedule = next(each for each in stage.schedules(ACME) if each["name"] == HOURLY)
    stage.title(f"The clock moves to {schedule['nextRunAt']}, when {HOURLY} of acme is due")
    # A moment later: the time must not have passed by itself when the request arrives.
    target = datetime.fromisoformat(schedule["nextRunAt"]) + timedelta(seconds=30)
    journey = stage.admin("POST", "clock", json={"to": target.isoformat()})
    stage.expect(journey["arrived"], True, "Whether the clock arrived")
    runs = [each for each in stage.of_install(ACME, "runs") if each["dueAt"] == schedule["nextRunAt"]]
    _print_runs(stage, runs, {each["id"]: each["name"] for each in stage.schedules(ACME)})
    run = next((each for each in runs if each["scheduleId"] == schedule["id"]), None)
    if run is None:
        raise Failed(f"{HOURLY} did not fire.")
    stage.expect((run["trigger"], run["status"]), ("schedule", "success"), "How it ran")
    stage.expect(len(runs), 1, "The number of runs of acme at that time")
    stage.held(f"{HOURLY} fired once and ended with success (HTTP {run['httpStatus']})")
    _show_what_the_handler_saw(stage, schedule, run)


def _show_what_the_handler_saw(stage: Stage, schedule: dict[str, Any], run: dict[str, Any]) -> None:
    said = stage.pair.guest_line(run["requestId"])
    seen = _SAID.fullmatch(said)
    if seen is None:
        raise Failed(f"The handler logged {said!r}, which does not say why it ran.")
    trigger, schedule_id, nominal_time, payload = seen.groups()
    stage.expect(trigger, "schedule", "The trigger that the handler saw")
    stage.expect(schedule_id, schedule["id"], "The schedule that the handler saw")
    stage.expect(nominal_time, run["nominalTime"], "The nominal time that the handler saw")
    stage.expect(payload, '{"full":false}', "The payload that the handler saw")
    stage.held("the handler saw why it ran, in its own log:")
    stage.page.table(
        ("", ""),
        [
            ("trigger", trigger),
            ("schedule", schedule_id),
            ("nominal time", nominal_time),
            ("payload", payload),
        ],
        indent=6,
    )


def _print_runs(stage: Stage, runs: list[dict[str, Any]], names: dict[str, str]) -> None:
    stage.page.table(
        ("SCHEDULE", "NOMINAL TIME", "STARTED (UTC)", "STATUS", "TOOK"),
        [
            (
                names.get(each["scheduleId"], each["scheduleId"]),
                each["nominalTime"],
                each["startedAt"],
                each["status"],
                f"{each['durationMs']} ms",
            )
            for each in runs
        ],
    )
