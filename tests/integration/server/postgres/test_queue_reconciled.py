"""``alga-server reconcile`` with a queue: its jobs are checked and repaired like the rest."""

from __future__ import annotations

import json
import logging
from collections.abc import Callable, Iterator
from typing import Any

import anyio
import click.testing
import httpx
import pytest
from sqlalchemy import create_engine, text

from alga_server import Server, ServerSettings
from alga_server.cli import main
from tests.support.server import extension_archive

pytestmark = pytest.mark.postgres

JOBS = "SELECT * FROM procrastinate_jobs ORDER BY id"
SCHEDULES = "SELECT * FROM tenant_extension_schedule ORDER BY id"
UNHEARD = "ALTER TABLE tenant_extension_schedule {} TRIGGER alga_job_follows_schedule"
HARM = {
    "job_missing": ["DELETE FROM procrastinate_jobs"],
    "job_at_wrong_time": ["UPDATE procrastinate_jobs SET scheduled_at = scheduled_at + interval '1 minute'"],
    "job_stalled": ["UPDATE procrastinate_jobs SET status = 'doing'"],
    "job_without_schedule": [
        UNHEARD.format("DISABLE"),
        "DELETE FROM tenant_extension_schedule",
        UNHEARD.format("ENABLE"),
    ],
}

Reconcile = Callable[..., tuple[int, list[dict[str, Any]]]]


class Place:
    """A server that fires nothing, an install in it, and hands in its database."""

    def __init__(self, server: Server, url: str, admin_token: str) -> None:
        self.server = server
        self.install_id = ""
        self._engine = create_engine(url)
        self._headers = {"authorization": f"Bearer {admin_token}"}

    def by_hand(self, *statements: str) -> None:
        with self._engine.begin() as connection:
            for statement in statements:
                connection.execute(text(statement))

    def rows(self, query: str) -> list[Any]:
        with self._engine.begin() as connection:
            return list(connection.execute(text(query)).all())

    def admin(self, method: str, path: str, **options: Any) -> Any:
        async def call() -> Any:
            transport = httpx.ASGITransport(self.server.app)
            async with httpx.AsyncClient(
                transport=transport, base_url="http://s", headers=self._headers
            ) as client:
                answer = await client.request(method, f"/api/admin{path}", **options)
                assert answer.is_success, answer.text
                return answer.json()

        return anyio.run(call)

    def create(self) -> str:
        path = f"/tenants/tenant-a/installs/{self.install_id}/schedules"
        created: str = self.admin("POST", path, json={"endpoint": "/sync", "cron": "0 * * * *"})["id"]
        return created

    def close(self) -> None:
        self._engine.dispose()
        anyio.run(self.server.aclose)


@pytest.fixture
def settings(settings: ServerSettings, database_url: str) -> ServerSettings:
    return settings.model_copy(update={"database_url": database_url, "job_engine": "procrastinate"})


@pytest.fixture
def place(settings: ServerSettings) -> Iterator[Place]:
    assert settings.admin_token is not None
    made = Place(Server(settings), settings.database_url, settings.admin_token.get_secret_value())
    extension = made.admin("POST", "/extensions", content=extension_archive())["extensionId"]
    installed = made.admin("POST", "/tenants/tenant-a/installs", json={"extensionId": extension})
    made.install_id = installed["installId"]
    yield made
    made.close()


@pytest.fixture
def reconcile(place: Place, settings: ServerSettings, monkeypatch: pytest.MonkeyPatch) -> Reconcile:
    """The command's exit status, and what it lists."""
    assert settings.admin_token is not None
    monkeypatch.setenv("ALGA_SERVER_ADMIN_TOKEN", settings.admin_token.get_secret_value())
    monkeypatch.delenv("ALGA_SERVER_URL", raising=False)

    def call(*options: str) -> tuple[int, list[dict[str, Any]]]:
        arguments = ["reconcile", "--json", *options]
        result = click.testing.CliRunner().invoke(main, arguments, obj=httpx.ASGITransport(place.server.app))
        return result.exit_code, json.loads(result.stdout)["discrepancies"]

    return call


def test_jobs_that_are_right_are_not_listed(place: Place, reconcile: Reconcile) -> None:
    place.create()

    assert reconcile("--check") == (0, [])
    assert reconcile() == (0, [])


@pytest.mark.parametrize("kind", HARM)
def test_checking_lists_a_job_that_is_wrong_and_changes_nothing(
    place: Place, reconcile: Reconcile, kind: str
) -> None:
    schedule_id = place.create()
    place.by_hand(*HARM[kind])
    before = place.rows(JOBS), place.rows(SCHEDULES)

    status, discrepancies = reconcile("--check")

    assert status == 1
    assert discrepancies == [
        {
            "discrepancy": kind,
            "repaired": False,
            "tenantId": "tenant-a",
            "installId": place.install_id,
            "scheduleId": schedule_id,
            "runId": None,
        }
    ]
    assert (place.rows(JOBS), place.rows(SCHEDULES)) == before


@pytest.mark.parametrize("kind", HARM)
def test_a_job_that_is_wrong_is_repaired_and_said(
    place: Place, reconcile: Reconcile, kind: str, caplog: pytest.LogCaptureFixture
) -> None:
    place.create()
    place.by_hand(*HARM[kind])

    with caplog.at_level(logging.WARNING, logger="alga_server"):
        status, discrepancies = reconcile()

    assert (status, [(one["discrepancy"], one["repaired"]) for one in discrepancies]) == (0, [(kind, True)])
    assert [record.__dict__["discrepancy"] for record in caplog.records] == [kind]
    waiting = (
        "SELECT queueing_lock, scheduled_at AT TIME ZONE 'UTC' FROM procrastinate_jobs WHERE status = 'todo'"
    )
    assert place.rows(waiting) == place.rows("SELECT id, next_run_at FROM tenant_extension_schedule")
    assert reconcile("--check") == (0, [])


def test_a_job_that_names_nobody_goes_and_the_one_that_lacks_comes(
    place: Place, reconcile: Reconcile
) -> None:
    place.create()
    place.by_hand("UPDATE procrastinate_jobs SET queueing_lock = NULL, scheduled_at = NULL, args = '{}'")

    kinds = ["job_missing", "job_without_schedule"]
    assert sorted(one["discrepancy"] for one in reconcile("--check")[1]) == kinds
    assert sorted(one["discrepancy"] for one in reconcile()[1]) == kinds
    assert reconcile("--check") == (0, [])


def test_the_job_of_a_schedule_that_is_repaired_comes_with_it(place: Place, reconcile: Reconcile) -> None:
    place.create()
    place.by_hand("UPDATE tenant_extension_schedule SET next_run_at = NULL, next_nominal_time = NULL")

    assert [one["discrepancy"] for one in reconcile()[1]] == ["not_scheduled"]
    assert reconcile("--check") == (0, [])


def test_a_server_without_the_queue_does_not_look_at_it(
    place: Place, settings: ServerSettings, reconcile: Reconcile
) -> None:
    place.create()
    place.by_hand("DELETE FROM procrastinate_jobs")
    queued = place.server
    place.server = Server(settings.model_copy(update={"job_engine": "embedded"}))

    assert reconcile("--check") == (0, [])

    anyio.run(queued.aclose)
