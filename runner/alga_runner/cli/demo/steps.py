"""Where the sample extension is: next to the package in a wheel, at the top of the repository in a checkout.

The steps around the firing: install, set up, show, change, clean up.

The schedule fires: the clock moves to its time, and the handler runs.
"""

from __future__ import annotations

import re
from datetime import timedelta
from pathlib import Path
from typing import Any

from alga_common.time import parse_instant

from ...capabilities.scheduler import CAPABILITY
from ...errors import BundleNotFound
from ...models import pack
from .processes import unmet
from .stage import ACME, GLOBEX, INITECH, Stage

_NAME = "scheduler-demo"


def sample_path() -> Path:
    """The folder of the sample extension. Raises ``BundleNotFound``."""
    package = Path(__file__).parents[2]
    places = (package / "samples" / _NAME, package.parents[1] / "sample-extensions" / _NAME)
    for place in places:
        if (place / "manifest.json").is_file():
            return place
    raise BundleNotFound(
        f"The sample extension {_NAME} is not installed with alga-runner.",
        hint="Install alga-runner from its wheel, or run it in a checkout.",
    )


HOURLY = "Hourly sync"
NIGHTLY = "Nightly full sync"


def install(stage: Stage) -> None:
    """Published once, installed by three tenants, granted to two."""
    stage.title("The sample extension is published, and installed for three tenants")
    published = stage.admin("POST", "extensions", status=201, content=_archive(sample_path()))
    for tenant, grants in ((ACME, [CAPABILITY]), (INITECH, [CAPABILITY]), (GLOBEX, [])):
        body = {"extensionId": published["extensionId"], "grants": grants}
        stage.installs[tenant] = made = stage.admin(
            "POST", f"tenants/{tenant}/installs", status=201, json=body
        )
        stage.expect(made["grants"], grants, f"What {tenant} is granted")
    stage.held(f"{published['name']} {published['version']} is published")
    stage.held(f"acme and initech are granted {CAPABILITY}, globex nothing")


def set_up(stage: Stage) -> None:
    """``/setup`` creates the missing schedules; a second one changes nothing."""
    stage.title("acme and initech call POST /setup through the gateway, acme twice")
    looks = ("get-endpoints", "list")
    creates = ("create", "create")
    first = stage.call(ACME, "/setup", calls=looks + creates)
    stage.expect(_names(first.get("created")), [HOURLY, NIGHTLY], "What the first /setup of acme created")
    stage.expect(_names(first.get("existing")), [], "What the first /setup of acme found")
    stage.held("the first setup created 2 schedules")
    second = stage.call(ACME, "/setup", calls=looks)
    stage.expect(_names(second.get("created")), [], "What the second /setup of acme created")
    stage.expect(second.get("existing"), first.get("created"), "What the second /setup of acme found")
    stage.held("the second setup found those 2 and created none")
    other = stage.call(INITECH, "/setup", calls=looks + creates)
    stage.expect(len(other.get("created", [])), 2, "The number of schedules that initech's /setup created")
    stage.held("initech has 2 schedules of its own")


def show_schedules(stage: Stage) -> None:
    """The admin's view: what acme has now, and when it runs."""
    stage.title("The schedules of acme, as an admin sees them")
    schedules = stage.schedules(ACME)
    _print_schedules(stage, schedules)
    stage.expect(_facts(schedules, HOURLY), ("POST /sync", "0 * * * *", "UTC"), HOURLY)
    stage.expect(_facts(schedules, NIGHTLY), ("POST /sync", "30 2 * * *", "Europe/Berlin"), NIGHTLY)
    stage.expect({schedule["trigger"] for schedule in schedules}, {"host_api"}, "Who made the schedules")
    stage.held("2 schedules, both made by the extension itself")


def change_interval(stage: Stage) -> None:
    """``/configure`` changes one schedule and leaves the other."""
    stage.title('acme calls POST /configure {"intervalHours": 6}')
    before = stage.schedules(ACME)
    stage.call(ACME, "/configure", {"intervalHours": 6}, calls=("list", "update"))
    after = stage.schedules(ACME)
    _print_schedules(stage, [schedule for schedule in after if schedule["name"] == HOURLY])
    stage.expect(_facts(after, HOURLY), ("POST /sync", "0 */6 * * *", "UTC"), HOURLY)
    stage.expect(
        [schedule["id"] for schedule in after], [schedule["id"] for schedule in before], "The schedules' ids"
    )
    stage.expect(_facts(after, NIGHTLY), _facts(before, NIGHTLY), NIGHTLY)
    stage.held(f"{HOURLY} changed from 0 * * * * to 0 */6 * * *, {NIGHTLY} did not")


def clean_up(stage: Stage) -> None:
    """``/cleanup`` deletes the tenant's own schedules, and no other's."""
    stage.title("acme calls POST /cleanup")
    answer = stage.call(ACME, "/cleanup", calls=("list", "delete", "delete"))
    stage.expect(answer, {"deleted": 2}, "The answer of /cleanup")
    stage.expect(len(stage.schedules(ACME)), 0, "The number of schedules that acme has")
    stage.held("2 schedules deleted, none left")
    stage.expect(len(stage.schedules(INITECH)), 2, "The number of schedules that initech has")
    stage.held("initech still has its 2")


def _archive(folder: Path) -> bytes:
    return pack({name: (folder / name).read_bytes() for name in ("manifest.json", "dist/main.wasm")})


def _print_schedules(stage: Stage, schedules: list[dict[str, Any]]) -> None:
    stage.page.table(
        ("NAME", "ENDPOINT", "CRON", "ZONE", "NEXT RUN (UTC)"),
        [
            (
                schedule["name"],
                f"{schedule['endpointMethod']} {schedule['endpointPath']}",
                schedule["cron"],
                schedule["timezone"],
                schedule["nextRunAt"] or "-",
            )
            for schedule in schedules
        ],
        indent=2,
    )


def _facts(schedules: list[dict[str, Any]], name: str) -> tuple[str, str, str] | None:
    """Endpoint, cron and zone of the schedule of that name."""
    for schedule in schedules:
        if schedule["name"] == name:
            return (
                f"{schedule['endpointMethod']} {schedule['endpointPath']}",
                schedule["cron"],
                schedule["timezone"],
            )
    return None


def _names(entries: list[dict[str, str]] | None) -> list[str | None] | None:
    return None if entries is None else [entry.get("name") for entry in entries]


_SAID = re.compile(r"Sync: trigger (\w+), schedule (\S+), nominal time (\S+), payload (.*)\.", re.DOTALL)
"""What the sample's ``POST /sync`` logs."""


def fire(stage: Stage) -> None:
    """Its run is in the history, and the handler got the reason for it."""
    schedule = next(candidate for candidate in stage.schedules(ACME) if candidate["name"] == HOURLY)
    stage.title(f"The clock moves to {schedule['nextRunAt']}, when {HOURLY} of acme is due")
    # A moment later: the time must not have passed by itself when the request arrives.
    target = parse_instant(schedule["nextRunAt"]) + timedelta(seconds=30)
    move = stage.admin("POST", "clock", json={"to": target.isoformat()})
    stage.expect(move["arrived"], True, "Whether the clock arrived")
    runs = [run for run in stage.of_install(ACME, "runs") if run["dueAt"] == schedule["nextRunAt"]]
    _print_runs(stage, runs, {item["id"]: item["name"] for item in stage.schedules(ACME)})
    run = next((candidate for candidate in runs if candidate["scheduleId"] == schedule["id"]), None)
    if run is None:
        raise unmet(f"{HOURLY} did not fire.")
    stage.expect((run["trigger"], run["status"]), ("schedule", "success"), "How it ran")
    stage.expect(len(runs), 1, "The number of runs of acme at that time")
    stage.held(f"{HOURLY} fired once and ended with success (HTTP {run['httpStatus']})")
    _show_what_the_handler_saw(stage, schedule, run)


def _show_what_the_handler_saw(stage: Stage, schedule: dict[str, Any], run: dict[str, Any]) -> None:
    said = stage.pair.guest_line(run["requestId"])
    seen = _SAID.fullmatch(said)
    if seen is None:
        raise unmet(f"The handler logged {said!r}, which does not say why it ran.")
    trigger, schedule_id, nominal_time, payload = seen.groups()
    stage.expect(trigger, "schedule", "The trigger that the handler saw")
    stage.expect(schedule_id, schedule["id"], "The schedule that the handler saw")
    stage.expect(nominal_time, run["dueAt"], "The nominal time that the handler saw")
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
                names.get(run["scheduleId"], run["scheduleId"]),
                run["nominalTime"],
                run["startedAt"],
                run["status"],
                f"{run['durationMs']} ms",
            )
            for run in runs
        ],
        indent=2,
    )
