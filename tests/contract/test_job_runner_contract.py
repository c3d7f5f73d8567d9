"""What every engine of jobs does, on every database: each due time fires on one server, whichever failure came before.

Time is the machine's here, as the queue's is. A schedule is made due by moving its time into the past.
"""

from __future__ import annotations

import json
import os
from collections import Counter
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from threading import Barrier
from typing import Any

import anyio
import httpx
import pytest
from sqlalchemy import Connection, delete, func, insert, select, text, update

from alga_runner.errors import SettingsError
from alga_server import Server, ServerSettings
from alga_server.storage import tables
from tests.support.bundles import make_archive
from tests.support.patience import PATIENCE_S

pytestmark = [pytest.mark.anyio, pytest.mark.postgres]

ENGINES = ["embedded", "procrastinate"] if os.environ.get("ALGA_TEST_POSTGRES") else ["embedded"]
ADMIN = {"authorization": "Bearer admin-token-of-the-test"}
ENDPOINTS = [{"method": "POST", "path": "/sync", "handler": "sync"}]


class Runner:
    """A runner that keeps what it was asked, and holds its answers back while a test wants it to."""

    def __init__(self) -> None:
        self.asked: list[dict[str, Any]] = []
        self.status = 200
        self.gate = anyio.Event()
        self.gate.set()
        self._changed = anyio.Event()

    async def __call__(self, request: httpx.Request) -> httpx.Response:
        self.asked.append(json.loads(request.content)["context"])
        self._changed.set()
        self._changed = anyio.Event()
        await self.gate.wait()
        answer = {"status": self.status, "headers": {}, "body_b64": None, "error": None}
        return httpx.Response(200, json=answer)

    async def was_asked(self, times: int) -> None:
        with anyio.fail_after(PATIENCE_S):
            while len(self.asked) < times:
                await self._changed.wait()


@dataclass
class Place:
    """A server, an install in it, and the runner that it asks."""

    server: Server
    client: httpx.AsyncClient
    runner: Runner
    path: str

    async def create(self, **members: Any) -> str:
        body = {"endpoint": "/sync", "cron": "0 * * * *", **members}
        answer = await self.client.post(f"{self.path}/schedules", json=body)
        assert answer.status_code == 201, answer.text
        created: str = answer.json()["id"]
        return created

    async def write(self, work: Any) -> Any:
        return await self.server._services.database.write(work)

    async def make_due(self, *schedule_ids: str) -> None:
        hour = datetime.now(UTC).replace(minute=0, second=0, microsecond=0) - timedelta(hours=1)
        past = {"next_run_at": hour, "next_nominal_time": f"{hour:%Y-%m-%dT%H}:00:00.000Z"}
        chosen = tables.schedule.c.id.in_(schedule_ids)
        await self.write(lambda c: c.execute(update(tables.schedule).where(chosen).values(past)))
        self.server.dispatcher.wake()

    async def runs(self, count: int) -> list[dict[str, Any]]:
        """The history, once it has so many runs that are over."""
        with anyio.fail_after(PATIENCE_S):
            while True:
                runs = (await self.client.get(f"{self.path}/runs")).json()["runs"][::-1]
                if len([run for run in runs if run["status"] != "running"]) >= count:
                    return list(runs)
                await anyio.lowlevel.checkpoint()

    async def discrepancies(self) -> list[Any]:
        discrepancies: list[Any] = await self.write(self.server.dispatcher._jobs.discrepancies)
        return discrepancies


@pytest.fixture(params=ENGINES)
def settings(request: pytest.FixtureRequest, database_url: str) -> ServerSettings:
    return ServerSettings(
        database_url=database_url,
        admin_token="admin-token-of-the-test",
        job_engine=request.param,
        shutdown_grace_seconds=0,
        schedule_changes_burst=1000,
    )


@asynccontextmanager
async def serving(settings: ServerSettings, runner: Runner, path: str = "") -> AsyncIterator[Place]:
    transport = httpx.MockTransport(runner)
    async with Server(settings, runner_transport=transport) as server:
        to_server = httpx.ASGITransport(server.app, raise_app_exceptions=False)
        async with httpx.AsyncClient(transport=to_server, base_url="http://s", headers=ADMIN) as client:
            yield Place(server, client, runner, path or await install(client))


async def install(client: httpx.AsyncClient, tenant: str = "tenant-a") -> str:
    extension = await publish(client, "1.0.0")
    path = f"/api/admin/tenants/{tenant}/installs"
    answer = await client.post(path, json={"extensionId": extension})
    return f"{path}/{answer.json()['installId']}"


async def publish(client: httpx.AsyncClient, version: str, endpoints: list[Any] = ENDPOINTS) -> str:
    archive = make_archive(name="com.example.sync", version=version, api={"endpoints": endpoints})
    answer = await client.post("/api/admin/extensions", content=archive)
    assert answer.status_code in (200, 201), answer.text
    extension: str = answer.json()["extensionId"]
    return extension


@pytest.fixture
async def place(settings: ServerSettings) -> AsyncIterator[Place]:
    async with serving(settings, Runner()) as place:
        yield place


async def test_a_due_time_runs_once_and_the_next_one_stands(place: Place) -> None:
    schedule_id = await place.create()
    await place.make_due(schedule_id)

    [run] = await place.runs(1)

    assert (run["status"], run["scheduleId"]) == ("success", schedule_id)
    assert len(place.runner.asked) == 1
    assert await place.discrepancies() == []


async def test_a_schedule_that_is_not_due_does_not_run(place: Place) -> None:
    due, not_due = await place.create(), await place.create()
    await place.make_due(due)

    await place.runs(1)

    assert not_due not in {request["schedule_id"] for request in place.runner.asked}


async def test_many_are_each_run_once_by_several_servers(place: Place, settings: ServerSettings) -> None:
    ids = [await place.create() for _ in range(12)]
    async with serving(settings, place.runner, place.path):
        await place.make_due(*ids)
        runs = await place.runs(len(ids))

    assert Counter(run["scheduleId"] for run in runs) == dict.fromkeys(ids, 1)
    assert Counter(request["schedule_id"] for request in place.runner.asked) == dict.fromkeys(ids, 1)


async def test_runs_that_do_not_end_keep_no_place_from_another_tenant(settings: ServerSettings) -> None:
    four = settings.model_copy(update={"max_schedule_runs": 4})
    async with serving(four, Runner()) as greedy:
        modest = replace(greedy, path=await install(greedy.client, "tenant-b"))
        greedy.runner.gate = anyio.Event()
        ids = [await greedy.create() for _ in range(9)]
        await greedy.make_due(*ids)
        await greedy.runner.was_asked(3)
        await modest.make_due(await modest.create())
        await greedy.runner.was_asked(4)
        greedy.runner.gate.set()
        await greedy.runs(9)

    tenants = [request["tenant_id"] for request in greedy.runner.asked]
    assert tenants == [*["tenant-a"] * 3, "tenant-b", *["tenant-a"] * 6]


async def test_a_create_that_is_rolled_back_leaves_neither_schedule_nor_job(place: Place) -> None:
    schedule_id = await place.create()

    def half(connection: Connection) -> None:
        row = dict(connection.execute(select(tables.schedule)).mappings().one())
        connection.execute(insert(tables.schedule).values({**row, "id": "copy", "ordinal": 99}))
        raise LookupError

    with pytest.raises(LookupError):
        await place.write(half)

    assert await place.discrepancies() == []
    count = select(func.count()).select_from(tables.schedule)
    assert await place.write(lambda c: c.execute(count).scalar_one()) == 1
    assert schedule_id


async def test_every_change_takes_the_job_along(place: Place) -> None:
    kept, gone = await place.create(), await place.create()
    one = f"{place.path}/schedules/{kept}"
    changes: list[tuple[str, str, Any]] = [
        ("PATCH", one, {"cron": "30 * * * *"}),
        ("PATCH", one, {"name": "New"}),
        ("PATCH", one, {"enabled": False}),
        ("PATCH", one, {"enabled": True}),
        ("DELETE", f"{place.path}/schedules/{gone}", None),
        ("PATCH", place.path, {"enabled": False}),
        ("PATCH", place.path, {"enabled": True}),
        ("POST", f"{place.path}/upgrade", {}),
        ("DELETE", place.path, None),
    ]
    await publish(place.client, "1.1.0")

    for method, path, body in changes:
        answer = await place.client.request(method, path, json=body)
        assert answer.is_success, (method, path, answer.text)
        assert await place.discrepancies() == [], (method, path, body)


async def test_a_change_that_is_refused_leaves_schedule_and_job(place: Place) -> None:
    await place.create(name="Taken")
    schedule_id = await place.create(name="Free")
    path = f"{place.path}/schedules"
    before = (await place.client.get(path)).json()

    answer = await place.client.patch(f"{path}/{schedule_id}", json={"cron": "30 * * * *", "name": "Taken"})

    assert (answer.status_code, list(answer.json()["fieldErrors"])) == (400, ["name"])
    assert (await place.client.get(path)).json() == before
    assert await place.discrepancies() == []


async def test_a_schedule_whose_history_and_jobs_are_gone_can_be_changed_and_deleted(place: Place) -> None:
    schedule_id = await place.create()
    await place.make_due(schedule_id)
    await place.runs(1)
    await place.write(lambda c: c.execute(delete(tables.schedule_run)))
    if place.server._services.settings.job_engine == "procrastinate":
        await place.write(lambda c: c.execute(text("DELETE FROM procrastinate_jobs WHERE status = 'todo'")))
    path = f"{place.path}/schedules"

    changed = await place.client.patch(f"{path}/{schedule_id}", json={"cron": "30 * * * *"})
    after_change = await place.discrepancies()
    deleted = await place.client.delete(f"{path}/{schedule_id}")

    assert (changed.status_code, deleted.status_code, after_change) == (200, 204, [])
    assert (await place.client.get(path)).json()["schedules"] == []
    assert await place.discrepancies() == []


async def test_a_schedule_that_is_disabled_because_its_endpoint_is_gone_has_no_job(place: Place) -> None:
    schedule_id = await place.create()
    await publish(place.client, "2.0.0", [])
    newer = select(tables.version.c.id).where(tables.version.c.version == "2.0.0").scalar_subquery()
    await place.write(lambda c: c.execute(update(tables.install).values(version_id=newer)))

    await place.make_due(schedule_id)
    [run] = await place.runs(1)
    [schedule] = (await place.client.get(f"{place.path}/schedules")).json()["schedules"]

    assert (run["status"], run["errorCode"]) == ("error", "endpoint_not_found")
    assert (schedule["enabled"], schedule["nextRunAt"]) == (False, None)
    assert await place.discrepancies() == []
    assert place.runner.asked == []


async def test_a_disabled_schedule_does_not_run(place: Place) -> None:
    disabled, live = await place.create(enabled=False), await place.create()
    await place.make_due(live)

    await place.runs(1)

    assert {request["schedule_id"] for request in place.runner.asked} == {live}
    assert disabled


async def test_a_time_that_comes_during_a_run_is_an_overlap(place: Place) -> None:
    schedule_id = await place.create()
    place.runner.gate = anyio.Event()
    answer = await place.client.post(f"{place.path}/schedules/{schedule_id}/run-now?wait=false")
    await place.runner.was_asked(1)

    await place.make_due(schedule_id)
    [_, skipped] = await place.runs(1)
    place.runner.gate.set()

    assert answer.is_success
    assert (skipped["status"], skipped["reason"]) == ("skipped", "overlap")


async def test_missed_times_that_all_run_wait_for_one_another(place: Place) -> None:
    schedule_id = await place.create(missedRuns="all")

    await place.make_due(schedule_id)
    runs = await place.runs(2)

    assert [run["status"] for run in runs] == ["success", "success"]
    assert runs[0]["nominalTime"] < runs[1]["nominalTime"]
    assert await place.discrepancies() == []


async def test_an_attempt_that_waits_is_made(place: Place) -> None:
    schedule_id = await place.create(maxAttempts=2, retryDelaySeconds=86400)
    place.runner.status = 500
    await place.make_due(schedule_id)
    [first] = await place.runs(1)
    place.runner.status = 200
    now = datetime.now(UTC)

    change = update(tables.schedule).where(tables.schedule.c.id == schedule_id).values(retry_at=now)
    await place.write(lambda c: c.execute(change))
    place.server.dispatcher.wake()
    [_, second] = await place.runs(2)

    assert (first["status"], second["status"], second["attempt"]) == ("error", "success", 2)
    assert first["nominalTime"] == second["nominalTime"]


async def test_schedules_that_nobody_can_claim_hold_up_no_other(settings: ServerSettings) -> None:
    few = settings.model_copy(update={"max_schedule_runs": 2, "dispatch_poll_seconds": 1})
    async with serving(few, Runner()) as place:
        broken = [await place.create() for _ in range(3)]
        unreadable = update(tables.schedule).where(tables.schedule.c.id.in_(broken)).values(cron="nonsense")
        await place.write(lambda c: c.execute(unreadable))
        await place.make_due(*broken)
        good = await place.create()
        await place.make_due(good)

        [run] = await place.runs(1)

    assert (run["scheduleId"], run["status"]) == (good, "success")


async def test_what_came_due_while_no_server_was_there_runs_when_one_comes(settings: ServerSettings) -> None:
    runner = Runner()
    async with serving(settings.model_copy(update={"dispatch_schedules": False}), runner) as place:
        schedule_id = await place.create()
        await place.make_due(schedule_id)
        path = place.path

    async with serving(settings, runner, path) as place:
        [run] = await place.runs(1)

    assert run["scheduleId"] == schedule_id


async def test_a_server_that_is_stopped_leaves_the_next_times_to_the_others(settings: ServerSettings) -> None:
    runner = Runner()
    runner.gate = anyio.Event()
    async with serving(settings, runner) as place:
        schedule_id = await place.create(missedRuns="all")
        await place.make_due(schedule_id)
        await runner.was_asked(1)
        path = place.path
    runner.gate.set()

    async with serving(settings, runner, path) as place:
        runs = await place.runs(2)
        assert await place.discrepancies() == []

    assert {run["status"] for run in runs} == {"lost", "success"}


if "procrastinate" in ENGINES:

    @pytest.mark.parametrize("settings", ["procrastinate"], indirect=True)
    @pytest.mark.parametrize(
        "harm",
        [
            "DELETE FROM procrastinate_jobs",
            "UPDATE procrastinate_jobs SET status = 'doing'",
            "UPDATE procrastinate_jobs SET scheduled_at = now() + interval '1 year'",
            "UPDATE procrastinate_jobs SET queueing_lock = 'unused'",
        ],
    )
    async def test_jobs_that_were_harmed_are_repaired(settings: ServerSettings, harm: str) -> None:
        runner = Runner()
        async with serving(settings.model_copy(update={"dispatch_schedules": False}), runner) as place:
            schedule_id = await place.create()
            await place.make_due(schedule_id)
            await place.write(lambda c: c.execute(text(harm)))
            path = place.path
            assert await place.discrepancies() != []

        async with serving(settings, runner, path) as place:
            [run] = await place.runs(1)
            assert await place.discrepancies() == []

        assert run["scheduleId"] == schedule_id

    @pytest.mark.parametrize("settings", ["procrastinate"], indirect=True)
    async def test_a_job_that_cannot_be_cancelled_fails_the_operation(settings: ServerSettings) -> None:
        async with serving(settings.model_copy(update={"dispatch_schedules": False}), Runner()) as place:
            schedule_id = await place.create()
            cancel = "procrastinate_cancel_job_v1(bigint, boolean, boolean)"
            await place.write(lambda c: c.execute(text(f"ALTER FUNCTION {cancel} RENAME TO away")))
            one = f"{place.path}/schedules/{schedule_id}"

            deleted = await place.client.delete(one)
            disabled = await place.client.patch(one, json={"enabled": False})

            assert (deleted.status_code, disabled.status_code) == (500, 500)
            [schedule] = (await place.client.get(f"{place.path}/schedules")).json()["schedules"]
            assert (schedule["id"], schedule["enabled"]) == (schedule_id, True)
            assert await place.discrepancies() == []

    async def test_no_transaction_is_open_while_a_handler_runs(place: Place) -> None:
        schedule_id = await place.create()
        place.runner.gate = anyio.Event()
        await place.make_due(schedule_id)
        await place.runner.was_asked(1)

        # Other work, such as a look at the next due times, ends.
        opened = (
            "SELECT count(*) FROM pg_stat_activity WHERE datname = current_database()"
            " AND pid <> pg_backend_pid() AND xact_start IS NOT NULL"
        )
        with anyio.fail_after(PATIENCE_S):
            while await place.write(lambda c: c.execute(text(opened)).scalar_one()):
                await anyio.lowlevel.checkpoint()
        assert [run["status"] for run in (await place.client.get(f"{place.path}/runs")).json()["runs"]] == [
            "running"
        ]
        place.runner.gate.set()

    @pytest.mark.parametrize("settings", ["procrastinate"], indirect=True)
    async def test_schedules_of_an_embedded_server_get_their_jobs(settings: ServerSettings) -> None:
        runner = Runner()
        embedded = settings.model_copy(update={"dispatch_schedules": False, "job_engine": "embedded"})
        async with serving(embedded, runner) as place:
            schedule_id = await place.create()
            await place.make_due(schedule_id)
            path = place.path

        async with serving(settings, runner, path) as place:
            [run] = await place.runs(1)

        assert run["scheduleId"] == schedule_id

    async def test_a_server_whose_connections_were_cut_goes_on(place: Place) -> None:
        schedule_id = await place.create()
        together = Barrier(2)
        async with anyio.create_task_group() as group:  # so that there are others than the one that cuts
            for _ in range(2):
                group.start_soon(place.write, lambda _: together.wait(PATIENCE_S))
        cut = (
            "SELECT count(pg_terminate_backend(pid)) FROM pg_stat_activity"
            " WHERE datname = current_database() AND pid <> pg_backend_pid()"
        )
        assert await place.write(lambda c: c.execute(text(cut)).scalar_one()) > 0

        await place.make_due(schedule_id)
        [run] = await place.runs(1)

        assert run["status"] == "success"

    @pytest.mark.parametrize("settings", ["procrastinate"], indirect=True)
    async def test_a_server_with_a_queue_does_not_look_by_itself(place: Place) -> None:
        without = await place.create()
        queued = await place.create()
        await place.make_due(without)
        await place.runs(1)
        hour = datetime.now(UTC).replace(minute=0, second=0, microsecond=0)
        unnoticed = (
            "ALTER TABLE tenant_extension_schedule DISABLE TRIGGER alga_job_follows_schedule",
            f"UPDATE tenant_extension_schedule SET next_run_at = '{hour:%Y-%m-%d %H:00}' WHERE id = '{without}'",
            "ALTER TABLE tenant_extension_schedule ENABLE TRIGGER alga_job_follows_schedule",
        )
        for statement in unnoticed:
            await place.write(lambda c, statement=statement: c.execute(text(statement)))
        await place.make_due(queued)

        await place.runs(2)

        assert [request["schedule_id"] for request in place.runner.asked] == [without, queued]


async def test_the_queue_is_for_postgresql() -> None:
    with pytest.raises(SettingsError, match="works on PostgreSQL only") as refusal:
        Server(ServerSettings(job_engine="procrastinate"))

    assert "job_engine to embedded" in str(refusal.value.hint)
