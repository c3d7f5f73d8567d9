"""Run-now and the history of runs, as admins use them."""

from __future__ import annotations

from datetime import timedelta

import anyio
import httpx
import pytest

from alga_server import ServerSettings
from tests.support.firing import HOURLY
from tests.support.server import Alga, FakeRunner, Install

pytestmark = pytest.mark.anyio

UNKNOWN = "00000000-0000-4000-8000-000000000000"


@pytest.fixture
def settings(settings: ServerSettings) -> ServerSettings:
    return settings.model_copy(update={"max_schedule_runs": 3, "shutdown_grace_seconds": 0})


# ---- Run-now


async def test_run_now_answers_with_the_run_when_it_ended(install: Install, fake_runner: FakeRunner) -> None:
    schedule_id = await install.create(cron=HOURLY, payload={"a": 1})
    fake_runner.status = 201

    response = await install.run_now(schedule_id)

    assert response.status_code == 200
    run = response.json()
    assert (run["status"], run["trigger"], run["httpStatus"]) == ("success", "run_now", 201)
    assert run["nominalTime"] == "2026-01-01T00:00:00.000Z"
    assert await install.runs(schedule_id) == [run]
    context = fake_runner.asked[0]["context"]
    assert (context["trigger"], context["schedule_id"]) == ("run_now", schedule_id)
    assert (await install.get(schedule_id))["lastRunStatus"] == "success"


async def test_run_now_leaves_the_next_time(install: Install) -> None:
    schedule_id = await install.create(cron=HOURLY)
    before = await install.next_run_at(schedule_id)

    await install.run_now(schedule_id)

    assert await install.next_run_at(schedule_id) == before is not None


async def test_a_failed_run_now_is_an_answer_too(install: Install, fake_runner: FakeRunner) -> None:
    schedule_id = await install.create(cron=HOURLY)
    fake_runner.status = 500

    response = await install.run_now(schedule_id)

    assert response.status_code == 200
    assert (response.json()["status"], response.json()["errorMessage"]) == (
        "error",
        "The handler POST /sync answered 500",
    )


async def test_run_now_twice_in_one_instant_is_two_runs(install: Install, fake_runner: FakeRunner) -> None:
    schedule_id = await install.create(cron=HOURLY)

    runs = [(await install.run_now(schedule_id)).json() for _ in range(2)]

    assert [(run["status"], run["attempt"]) for run in runs] == [("success", 1), ("success", 2)]
    assert len({headers["x-idempotency-key"] for headers in fake_runner.headers}) == 2


async def test_run_now_at_the_instant_of_a_regular_run_is_a_run_of_its_own(
    install: Install, fake_runner: FakeRunner
) -> None:
    schedule_id = await install.create(cron=HOURLY)
    await install.alga.pass_time(hours=1)

    assert (await install.run_now(schedule_id)).json()["status"] == "success"
    assert len({headers["x-idempotency-key"] for headers in fake_runner.headers}) == 2


async def test_without_waiting_the_answer_is_that_it_runs(install: Install, fake_runner: FakeRunner) -> None:
    schedule_id = await install.create(cron=HOURLY)
    fake_runner.hold()

    response = await install.run_now(schedule_id, wait="false")

    assert (response.status_code, response.json()["status"]) == (202, "running")
    assert response.json()["finishedAt"] is None
    fake_runner.let_go()
    while (await install.runs())[0]["status"] == "running":
        await anyio.lowlevel.checkpoint()
    assert (await install.runs())[0]["status"] == "success"


async def test_run_now_while_it_runs_is_skipped_and_says_so(
    install: Install, fake_runner: FakeRunner
) -> None:
    schedule_id = await install.create(cron=HOURLY)
    fake_runner.hold()
    await install.run_now(schedule_id, wait="false")

    second = await install.run_now(schedule_id)

    assert second.status_code == 200
    assert (second.json()["status"], second.json()["reason"]) == ("skipped", "overlap")
    fake_runner.let_go()


async def test_a_regular_time_during_a_run_now_is_skipped(install: Install, fake_runner: FakeRunner) -> None:
    schedule_id = await install.create(cron=HOURLY)
    fake_runner.hold()
    await install.run_now(schedule_id, wait="false")

    [run] = await install.alga.pass_time(hours=1)

    assert (run.status, run.reason) == ("skipped", "overlap")
    fake_runner.let_go()


async def test_run_now_of_a_disabled_schedule_is_skipped_never_an_error(
    install: Install, fake_runner: FakeRunner
) -> None:
    schedule_id = await install.create(cron=HOURLY, enabled=False)

    run = (await install.run_now(schedule_id)).json()

    assert (run["status"], run["reason"]) == ("skipped", "schedule_disabled")
    assert (await install.get(schedule_id))["lastRunStatus"] is None
    assert fake_runner.asked == []


async def test_run_now_in_a_disabled_install_is_skipped_never_an_error(
    install: Install, fake_runner: FakeRunner
) -> None:
    schedule_id = await install.create(cron=HOURLY)
    await install.alga.admin("PATCH", install.admin_path, json={"enabled": False})

    run = (await install.run_now(schedule_id)).json()

    assert (run["status"], run["reason"]) == ("skipped", "install_disabled")
    assert fake_runner.asked == []


async def test_more_run_nows_than_there_is_room_for_are_refused(
    install: Install, fake_runner: FakeRunner
) -> None:
    ids = [await install.create(cron=HOURLY) for _ in range(4)]
    fake_runner.hold()
    for schedule_id in ids[:3]:
        assert (await install.run_now(schedule_id, wait="false")).status_code == 202

    refused = await install.run_now(ids[3])

    assert (refused.status_code, refused.json()["code"]) == (503, "dispatcher_unavailable")
    assert len(await install.runs()) == 3
    fake_runner.let_go()


async def test_uninstalling_during_a_run_now_answers_that_it_is_gone(
    install: Install, fake_runner: FakeRunner
) -> None:
    schedule_id = await install.create(cron=HOURLY)
    fake_runner.hold()
    answers: list[httpx.Response] = []

    async def ask() -> None:
        answers.append(await install.run_now(schedule_id))

    async with anyio.create_task_group() as group:
        group.start_soon(ask)
        await fake_runner.was_asked(1)
        await install.alga.admin("DELETE", install.admin_path)
        fake_runner.let_go()

    assert [answer.status_code for answer in answers] == [404]


@pytest.mark.parametrize("wait", ["maybe", "1", ""])
async def test_wait_is_true_or_false(install: Install, wait: str) -> None:
    schedule_id = await install.create(cron=HOURLY)

    response = await install.run_now(schedule_id, wait=wait)

    assert response.status_code == 400
    assert response.json()["fieldErrors"] == {"wait": "Input should be 'true' or 'false'"}
    assert await install.runs() == []


# ---- Borders


@pytest.mark.parametrize("schedule_id", [UNKNOWN, "nonsense", "%00"])
async def test_an_unknown_schedule_is_not_found(install: Install, schedule_id: str) -> None:
    path = f"{install.admin_path}/schedules/{schedule_id}"

    assert (await install.alga.admin("POST", f"{path}/run-now")).status_code == 404
    assert (await install.alga.admin("GET", f"{path}/runs")).status_code == 404


async def test_another_tenant_neither_runs_nor_sees_it(install: Install, fake_runner: FakeRunner) -> None:
    schedule_id = await install.create(cron=HOURLY)
    await install.run_now(schedule_id)
    theirs = await install.alga.install("tenant-b")
    for wrong in (theirs.admin_path, install.admin_path.replace("tenant-a", "tenant-b")):
        path = f"{wrong}/schedules/{schedule_id}"
        assert (await install.alga.admin("POST", f"{path}/run-now")).status_code == 404
        assert (await install.alga.admin("GET", f"{path}/runs")).status_code == 404

    assert await theirs.runs() == []
    assert len(fake_runner.asked) == 1


@pytest.mark.parametrize("path", ["runs", f"schedules/{UNKNOWN}/runs"])
async def test_history_is_for_admins(install: Install, path: str) -> None:
    response = await install.alga.client.get(f"{install.admin_path}/{path}")

    assert response.status_code == 401


async def test_run_now_is_for_admins(install: Install, fake_runner: FakeRunner) -> None:
    schedule_id = await install.create(cron=HOURLY)
    response = await install.alga.client.post(f"{install.admin_path}/schedules/{schedule_id}/run-now")

    assert response.status_code == 401
    assert fake_runner.asked == []


# ---- The history


async def test_history_is_newest_first_page_by_page(install: Install) -> None:
    schedule_id = await install.create(cron=HOURLY)
    for _ in range(5):
        await install.alga.pass_time(hours=1)
    pages: list[list[str]] = []
    params = {"limit": "2"}
    while True:
        answer = (await install.alga.admin("GET", f"{install.admin_path}/runs", params=params)).json()
        pages.append([run["nominalTime"][11:13] for run in answer["runs"]])
        if answer["cursor"] is None:
            break
        params["cursor"] = answer["cursor"]

    assert pages == [["05", "04"], ["03", "02"], ["01"]]
    assert len(await install.runs(schedule_id)) == 5


async def test_a_page_stays_the_same_while_runs_are_added(install: Install) -> None:
    await install.create(cron=HOURLY)
    for _ in range(4):
        await install.alga.pass_time(hours=1)
    path = f"{install.admin_path}/runs"
    cursor = (await install.alga.admin("GET", path, params={"limit": 2})).json()["cursor"]
    await install.alga.pass_time(hours=1)

    rest = (await install.alga.admin("GET", path, params={"limit": 2, "cursor": cursor})).json()

    assert [run["nominalTime"][11:13] for run in rest["runs"]] == ["02", "01"]


async def test_a_schedules_history_is_only_its_own(install: Install) -> None:
    one, two = [await install.create(cron=HOURLY) for _ in range(2)]
    await install.alga.pass_time(hours=1)

    assert [run["scheduleId"] for run in await install.runs(one)] == [one]
    assert [run["scheduleId"] for run in await install.runs()] == [one, two]


async def test_a_schedule_that_never_ran_has_an_empty_history(install: Install) -> None:
    assert await install.runs(await install.create(cron=HOURLY)) == []


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("limit", "0"),
        ("limit", "201"),
        ("limit", "-1"),
        ("limit", "ten"),
        ("limit", "²"),
        ("limit", "9" * 5000),
        ("cursor", "0"),
        ("cursor", "x"),
        ("cursor", str(2**63)),
    ],
)
async def test_a_page_that_cannot_be_is_refused(install: Install, field: str, value: str) -> None:
    response = await install.alga.admin("GET", f"{install.admin_path}/runs", params={field: value})

    assert response.status_code == 400
    assert set(response.json()["fieldErrors"]) == {field}


async def test_uninstalling_takes_the_history_along(install: Install) -> None:
    await install.run_now(await install.create(cron=HOURLY))
    await install.alga.admin("DELETE", install.admin_path)
    again = await install.alga.install("tenant-a")

    assert await again.runs() == []


async def test_skipped_times_leave_the_schedules_last_run(install: Install, fake_runner: FakeRunner) -> None:
    schedule_id = await install.create(cron=HOURLY)
    fake_runner.hold()
    await install.run_now(schedule_id, wait="false")
    await install.alga.pass_time(hours=1)

    assert (await install.get(schedule_id))["lastRunAt"] is None
    fake_runner.let_go()


async def test_a_duration_is_that_of_the_clock(install: Install, fake_runner: FakeRunner) -> None:
    fake_runner.hold()
    schedule_id = await install.create(cron="0 5 * * *")
    await install.run_now(schedule_id, wait="false")
    await fake_runner.was_asked(1)
    install.alga.clock.advance(timedelta(seconds=2, milliseconds=345))
    fake_runner.let_go()
    while (run := (await install.runs())[0])["status"] == "running":
        await anyio.lowlevel.checkpoint()

    assert (run["durationMs"], run["finishedAt"]) == (2345, "2026-01-01T00:00:02.345Z")


# ---- Runs of all tenants


@pytest.fixture
async def history(alga: Alga, install: Install, fake_runner: FakeRunner) -> dict[str, str]:
    """A good run of tenant-a, then, an hour later, a failed run of tenant-b; the ids of the schedules."""
    other = await alga.install("tenant-b")
    first = await install.create(cron=HOURLY, name="First")
    second = await other.create(cron=HOURLY, name="Second")
    await install.run_now(first)
    alga.clock.advance(timedelta(hours=1))
    fake_runner.status = 500
    await other.run_now(second)
    return {"First": first, "Second": second}


async def names_of(alga: Alga, **query: str) -> list[str]:
    response = await alga.admin("GET", "/api/admin/runs", params=query)
    assert response.status_code == 200, response.text
    return [run["scheduleName"] for run in response.json()["runs"]]


async def test_runs_of_all_tenants_are_listed_newest_first(alga: Alga, history: dict[str, str]) -> None:
    assert await names_of(alga) == ["Second", "First"]


@pytest.mark.parametrize(
    ("query", "names"),
    [
        ({"status": "error"}, ["Second"]),
        ({"status": "lost"}, []),
        ({"tenantId": "tenant-a"}, ["First"]),
        ({"tenantId": "../tenant-a"}, []),
        ({"installId": "no-uuid"}, []),
        ({"since": "59m"}, ["Second"]),
        ({"since": "1h"}, ["Second", "First"]),
        ({"since": "2026-01-01T00:30:00Z"}, ["Second"]),
        ({"since": "2026-01-01T02:00:00+01:00"}, ["Second"]),
        ({"tenantId": "tenant-b", "status": "success"}, []),
    ],
)
async def test_runs_are_found_by_what_is_given(
    alga: Alga, history: dict[str, str], query: dict[str, str], names: list[str]
) -> None:
    assert await names_of(alga, **query) == names


async def test_runs_of_all_tenants_continue_at_the_cursor(alga: Alga, history: dict[str, str]) -> None:
    first = (await alga.admin("GET", "/api/admin/runs", params={"limit": 1})).json()

    assert await names_of(alga, cursor=first["cursor"]) == ["First"]


async def test_a_run_keeps_its_place_when_its_schedule_is_gone(
    alga: Alga, install: Install, history: dict[str, str]
) -> None:
    await install.call("delete", scheduleId=history["First"])

    run = (await alga.admin("GET", "/api/admin/runs", params={"tenantId": "tenant-a"})).json()["runs"][0]

    assert (run["scheduleId"], run["scheduleName"]) == (history["First"], None)
    assert run["extensionName"] == "com.example.sync"


@pytest.mark.parametrize(
    "query", [{"since": "yesterday"}, {"status": "failed"}, {"limit": "201"}, {"since": "9" * 65}]
)
async def test_a_question_for_runs_that_cannot_be_is_refused(alga: Alga, query: dict[str, str]) -> None:
    response = await alga.admin("GET", "/api/admin/runs", params=query)

    assert (response.status_code, list(response.json()["fieldErrors"])) == (400, list(query))


async def test_runs_of_all_tenants_are_for_admins_alone(alga: Alga) -> None:
    assert (await alga.client.get("/api/admin/runs")).status_code == 401
