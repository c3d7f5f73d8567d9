"""The steps up to the refusals: set up, show, change, clean up."""

from __future__ import annotations

from typing import Any

from ...testing import Installed
from .stage import Stage

HOURLY = "Hourly sync"
NIGHTLY = "Nightly full sync"


async def set_up(stage: Stage) -> None:
    """``/setup`` creates what is missing; a second one changes nothing."""
    stage.title("acme and initech call POST /setup, acme twice")
    first = await stage.call(stage.acme, "/setup")
    stage.expect(_names(first.get("created")), [HOURLY, NIGHTLY], "What the first /setup of acme created")
    stage.expect(_names(first.get("existing")), [], "What the first /setup of acme found")
    stage.held("the first setup created 2 schedules")
    second = await stage.call(stage.acme, "/setup")
    stage.expect(_names(second.get("created")), [], "What the second /setup of acme created")
    stage.expect(second.get("existing"), first.get("created"), "What the second /setup of acme found")
    stage.held("the second setup found those 2 and created none")
    other = await stage.call(stage.initech, "/setup")
    stage.expect(len(other.get("created", [])), 2, "The number of schedules that initech's /setup created")
    stage.held("initech has 2 schedules of its own")


async def show_schedules(stage: Stage) -> None:
    """The admin's view: what acme has now, and when it runs."""
    stage.title("The schedules of acme, as an admin sees them")
    found = await stage.acme.schedules()
    _print_schedules(stage, found)
    stage.expect(_facts(found, HOURLY), ("POST /sync", "0 * * * *", "UTC"), HOURLY)
    stage.expect(_facts(found, NIGHTLY), ("POST /sync", "30 2 * * *", "Europe/Berlin"), NIGHTLY)
    stage.expect({each["trigger"] for each in found}, {"host_api"}, "Who made the schedules")
    stage.held("2 schedules, both made by the extension itself")


async def change_interval(stage: Stage) -> None:
    """``/configure`` changes one schedule and leaves the other."""
    stage.title('acme calls POST /configure {"intervalHours": 6}')
    before = await stage.acme.schedules()
    await stage.call(stage.acme, "/configure", {"intervalHours": 6})
    after = await stage.acme.schedules()
    _print_schedules(stage, [each for each in after if each["name"] == HOURLY])
    stage.expect(_facts(after, HOURLY), ("POST /sync", "0 */6 * * *", "UTC"), HOURLY)
    stage.expect([each["id"] for each in after], [each["id"] for each in before], "The schedules' ids")
    stage.expect(_facts(after, NIGHTLY), _facts(before, NIGHTLY), NIGHTLY)
    stage.held(f"{HOURLY} changed from 0 * * * * to 0 */6 * * *, {NIGHTLY} did not")


async def clean_up(stage: Stage) -> None:
    """``/cleanup`` deletes the tenant's own schedules, and nobody else's."""
    stage.title("acme calls POST /cleanup")
    answer = await stage.call(stage.acme, "/cleanup")
    stage.expect(answer, {"deleted": 2}, "The answer of /cleanup")
    stage.expect(await _count(stage.acme), 0, "The number of schedules that acme has")
    stage.held("2 schedules deleted, none left")
    stage.expect(await _count(stage.initech), 2, "The number of schedules that initech has")
    stage.held("initech still has its 2")


def _print_schedules(stage: Stage, schedules: list[dict[str, Any]]) -> None:
    stage.page.table(
        ("NAME", "ENDPOINT", "CRON", "ZONE", "NEXT RUN (UTC)"),
        [
            (
                each["name"],
                f"{each['endpointMethod']} {each['endpointPath']}",
                each["cron"],
                each["timezone"],
                each["nextRunAt"] or "-",
            )
            for each in schedules
        ],
    )


def _facts(schedules: list[dict[str, Any]], name: str) -> tuple[str, str, str] | None:
    """Endpoint, cron and zone of the schedule of that name."""
    for each in schedules:
        if each["name"] == name:
            return f"{each['endpointMethod']} {each['endpointPath']}", each["cron"], each["timezone"]
    return None


def _names(entries: list[dict[str, str]] | None) -> list[str | None] | None:
    return None if entries is None else [each.get("name") for each in entries]


async def _count(installed: Installed) -> int:
    return len(await installed.schedules())
