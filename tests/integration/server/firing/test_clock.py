"""The clocks, and putting the server's clock forward over HTTP with everything firing on the way."""

from __future__ import annotations

from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta
from typing import Any

import anyio
import httpx
import pytest

from alga_common.time import Clock, MovableClock
from alga_runner.errors import SettingsError
from alga_server import ManualClock, OffsetClock, Server, ServerSettings, SystemClock
from alga_server.firing import time_travel
from tests.support.firing import HOURLY
from tests.support.server import Alga, FakeRunner, Install

pytestmark = pytest.mark.anyio

HOUR = timedelta(hours=1)


# ---- The clocks


@pytest.mark.parametrize("clock", [ManualClock(), OffsetClock()], ids=["manual", "offset"])
def test_a_clock_that_can_be_moved_never_goes_back(clock: MovableClock) -> None:
    clock.move_to(clock.now() + HOUR)
    moved = clock.now()

    with pytest.raises(ValueError, match="does not go back"):
        clock.move_to(moved - timedelta(microseconds=1))
    assert clock.now() >= moved


@pytest.mark.parametrize("clock", [ManualClock(), OffsetClock()], ids=["manual", "offset"])
async def test_moving_a_clock_wakes_who_sleeps_on_it(clock: MovableClock) -> None:
    woken: list[str] = []

    async def sleep(name: str, until: datetime) -> None:
        await clock.sleep_until(until)
        woken.append(name)

    start = clock.now()
    async with anyio.create_task_group() as group:
        group.start_soon(sleep, "late", start + 2 * HOUR)
        group.start_soon(sleep, "early", start + HOUR)
        await anyio.wait_all_tasks_blocked()
        clock.move_to(start + HOUR)
        await anyio.wait_all_tasks_blocked()
        assert woken == ["early"]
        clock.move_to(start + 3 * HOUR)

    assert woken == ["early", "late"]


@pytest.mark.parametrize(
    "clock", [ManualClock(), OffsetClock(), SystemClock()], ids=lambda it: type(it).__name__
)
async def test_sleeping_until_the_past_is_over_at_once(clock: Clock) -> None:
    await clock.sleep_until(clock.now() - HOUR)


async def test_real_time_passes_on_a_clock_that_was_moved() -> None:
    clock = OffsetClock()
    clock.move_to(clock.now() + HOUR)
    before = clock.now()
    await clock.sleep_until(before + timedelta(milliseconds=1))

    assert clock.now() - before >= timedelta(milliseconds=1)
    assert clock.now() - datetime.now(UTC) >= HOUR - timedelta(minutes=1)


def test_a_move_does_not_change_what_durations_are_measured_with() -> None:
    clock = OffsetClock()
    before = clock.monotonic()
    clock.move_to(clock.now() + 1000 * HOUR)

    assert clock.monotonic() - before < 3600


# ---- Who may move it


@pytest.fixture
def settings(settings: ServerSettings) -> ServerSettings:
    return settings.model_copy(update={"development": True, "shutdown_grace_seconds": 0})


@pytest.fixture
def clock() -> ManualClock:
    return ManualClock()


@pytest.fixture
async def alga(
    alga: Alga, settings: ServerSettings, clock: ManualClock, fake_runner: FakeRunner
) -> AsyncIterator[Any]:
    """An Alga with a server whose clock admins may move."""
    async with Server(
        settings, clock=clock, runner_transport=httpx.MockTransport(fake_runner), allow_clock=True
    ) as server:
        transport = httpx.ASGITransport(server.app)
        async with httpx.AsyncClient(transport=transport, base_url="http://server") as client:
            yield type(alga)(server, client, clock)


async def move(alga: Alga, **body: Any) -> dict[str, Any]:
    response = await alga.admin("POST", "/api/admin/clock", json=body)
    assert response.status_code == 200, response.text
    answer: dict[str, Any] = response.json()
    return answer


async def test_without_leave_there_is_no_such_route(settings: ServerSettings) -> None:
    async with Server(settings, clock=ManualClock()) as server:
        transport = httpx.ASGITransport(server.app)
        async with httpx.AsyncClient(transport=transport, base_url="http://server") as client:
            headers = {"authorization": "Bearer admin-token-of-the-test"}
            assert (await client.get("/api/admin/clock", headers=headers)).status_code == 404
            assert (await client.post("/api/admin/clock", headers=headers)).status_code == 404


def test_outside_of_development_a_server_that_may_be_moved_is_refused(settings: ServerSettings) -> None:
    with pytest.raises(SettingsError, match="development"):
        Server(settings.model_copy(update={"development": False}), allow_clock=True)


def test_a_clock_that_cannot_be_moved_is_refused(settings: ServerSettings) -> None:
    with pytest.raises(SettingsError, match="cannot be put forward"):
        Server(settings, clock=SystemClock(), allow_clock=True)


async def test_the_clock_is_for_admins(alga: Alga) -> None:
    assert (await alga.client.get("/api/admin/clock")).status_code == 401
    assert (await alga.client.post("/api/admin/clock", json={"advance": {"hours": 1}})).status_code == 401


@pytest.mark.parametrize("peer", ["192.0.2.1", "2001:db8::1", "nonsense", "::ffff:192.0.2.1"])
async def test_the_clock_is_for_this_machine(alga: Alga, peer: str) -> None:
    before = alga.clock.now()
    transport = httpx.ASGITransport(alga.server.app, client=(peer, 1234))
    async with httpx.AsyncClient(transport=transport, base_url="http://server") as client:
        headers = {"authorization": "Bearer admin-token-of-the-test"}
        shown = await client.get("/api/admin/clock", headers=headers)
        moved = await client.post("/api/admin/clock", headers=headers, json={"advance": {"hours": 1}})

    assert (shown.status_code, moved.status_code) == (403, 403)
    assert alga.clock.now() == before


@pytest.mark.parametrize(
    "body",
    [
        {},
        {"advance": None, "to": None},
        {"advance": {"hours": 1}, "to": "2026-02-01T00:00:00Z"},
        {"advance": {"hours": -1}},
        {"advance": {"hours": "1"}},
        {"advance": {"hours": True}},
        {"advance": {"hours": 1e400}},
        {"advance": {"weeks": 1}},
        {"advance": {"days": 367}},
        {"advance": {"days": 366, "seconds": 1}},
        {"advance": 6},
        {"to": "2025-12-31T23:59:59Z"},
        {"to": "2026-02-01T00:00:00"},
        {"to": "2027-02-01T00:00:00Z"},
        {"to": "tomorrow"},
        {"to": 1e30},
        {"hours": 6},
    ],
    ids=str,
)
async def test_a_move_that_cannot_be_is_refused_and_nothing_moves(alga: Alga, body: dict[str, Any]) -> None:
    before = alga.clock.now()
    content = (
        repr(body).replace("'", '"').replace("None", "null").replace("True", "true").replace("inf", "1e400")
    )

    response = await alga.admin("POST", "/api/admin/clock", content=content)

    assert (response.status_code, response.json()["code"]) == (400, "validation_failed")
    assert alga.clock.now() == before


# ---- What happens on the way


async def test_the_clock_says_where_it_stands(alga: Alga) -> None:
    response = await alga.admin("GET", "/api/admin/clock")

    assert response.json() == {"now": "2026-01-01T00:00:00.000Z"}


async def test_moving_with_nothing_due_fires_nothing(alga: Alga) -> None:
    assert await move(alga, advance={"days": 1, "hours": 2, "minutes": 3, "seconds": 4.5}) == {
        "now": "2026-01-02T02:03:04.500Z",
        "fired": [],
        "arrived": True,
    }


async def test_everything_on_the_way_fires_in_order_and_at_its_own_instant(
    install: Install, fake_runner: FakeRunner
) -> None:
    hourly = await install.create(cron=HOURLY)
    daily = await install.create(cron="30 2 * * *")

    answer = await move(install.alga, advance={"hours": 3})

    assert [(run["scheduleId"], run["startedAt"][11:16]) for run in answer["fired"]] == [
        (hourly, "01:00"),
        (hourly, "02:00"),
        (daily, "02:30"),
        (hourly, "03:00"),
    ]
    assert all(run["tenantId"] and run["installId"] for run in answer["fired"])
    assert all(run["startedAt"] == run["dueAt"] == run["nominalTime"] for run in answer["fired"])
    assert {(run["status"], run["missed"]) for run in answer["fired"]} == {("success", 0)}
    assert answer["now"] == "2026-01-01T03:00:00.000Z"
    assert fake_runner.nominal_times() == [run["nominalTime"] for run in answer["fired"]]


async def test_it_arrives_at_an_instant_in_any_offset(install: Install) -> None:
    await install.create(cron="0 3 * * *")

    answer = await move(install.alga, to="2026-01-01T05:30:00+02:30")

    assert answer["now"] == "2026-01-01T03:00:00.000Z"
    assert len(answer["fired"]) == 1


async def test_a_handler_that_fails_does_not_stop_the_clock(
    install: Install, fake_runner: FakeRunner
) -> None:
    fake_runner.status = 500
    await install.create(cron=HOURLY)

    answer = await move(install.alga, advance={"hours": 3})

    assert [run["status"] for run in answer["fired"]] == ["error"] * 3
    assert answer["arrived"] is True


async def test_what_a_handler_schedules_fires_on_the_same_way(
    install: Install, fake_runner: FakeRunner
) -> None:
    inner = install.alga.server._services.executor

    class Scheduling:
        async def execute(self, *args: Any, **kwargs: Any) -> Any:
            if len(fake_runner.asked) == 0:
                await install.create(cron="30 1 * * *", name="from the handler")
            return await inner.execute(*args, **kwargs)

    install.alga.server.dispatcher._runs._executor = Scheduling()
    await install.create(cron="0 1 * * *")

    answer = await move(install.alga, advance={"hours": 2})

    assert [run["startedAt"][11:16] for run in answer["fired"]] == ["01:00", "01:30"]


async def test_what_was_due_before_fires_first(install: Install) -> None:
    await install.create(cron=HOURLY)
    install.alga.clock.advance(timedelta(minutes=90))

    answer = await move(install.alga, advance={"hours": 1})

    assert [run["startedAt"][11:16] for run in answer["fired"]] == ["01:30", "02:00"]


async def test_moves_take_turns(install: Install) -> None:
    await install.create(cron=HOURLY)
    answers: list[dict[str, Any]] = []

    async def one() -> None:
        answers.append(await move(install.alga, advance={"hours": 2}))

    async with anyio.create_task_group() as group:
        for _ in range(3):
            group.start_soon(one)

    assert [len(answer["fired"]) for answer in answers] == [2, 2, 2]
    assert install.alga.clock.now() == datetime(2026, 1, 1, 6, tzinfo=UTC)


async def test_a_way_with_too_much_on_it_ends_early(
    install: Install, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(time_travel, "MAX_FIRED", 5)
    await install.create(cron=HOURLY)

    answer = await move(install.alga, advance={"days": 1})

    assert (answer["now"], answer["arrived"]) == ("2026-01-01T05:00:00.000Z", False)
    assert len(answer["fired"]) == 5


class TestWithTheServerWatching:
    """The same while the server fires on its own."""

    @pytest.fixture
    def settings(self, settings: ServerSettings) -> ServerSettings:
        return settings.model_copy(update={"dispatch_schedules": True})

    async def test_everything_fires_once_and_is_answered(
        self, install: Install, fake_runner: FakeRunner
    ) -> None:
        await install.create(cron=HOURLY)
        await install.create(cron="*/20 * * * *")

        answer = await move(install.alga, advance={"hours": 12})

        assert len(answer["fired"]) == len(fake_runner.asked) == 12 + 36
        assert all(run["startedAt"] == run["dueAt"] for run in answer["fired"])

    async def test_it_works_on_a_clock_that_runs_on(
        self, settings: ServerSettings, fake_runner: FakeRunner, alga: Alga
    ) -> None:
        async with Server(
            settings, runner_transport=httpx.MockTransport(fake_runner), allow_clock=True
        ) as server:
            transport = httpx.ASGITransport(server.app)
            async with httpx.AsyncClient(transport=transport, base_url="http://server") as client:
                install = await type(alga)(server, client, alga.clock).install("tenant-a")
                await install.create(cron=HOURLY)
                answer = await move(install.alga, advance={"hours": 6})

        assert len(answer["fired"]) in {6, 7}  # the hour may strike during the test
        assert answer["arrived"] is True


# ---- Across the nights when clocks change

NIGHTS = [
    (
        "Europe/Berlin",
        "30 2 * * *",
        "2026-03-28T12:00:00Z",
        ["2026-03-29T01:00:00.000Z", "2026-03-30T00:30:00.000Z"],
    ),
    (
        "Europe/Berlin",
        "30 2 * * *",
        "2026-10-24T12:00:00Z",
        ["2026-10-25T00:30:00.000Z", "2026-10-26T01:30:00.000Z"],
    ),
    (
        "America/New_York",
        "30 2 * * *",
        "2026-03-08T00:00:00Z",
        ["2026-03-08T07:00:00.000Z", "2026-03-09T06:30:00.000Z"],
    ),
    (
        "America/New_York",
        "30 1 * * *",
        "2026-11-01T00:00:00Z",
        ["2026-11-01T05:30:00.000Z", "2026-11-02T06:30:00.000Z"],
    ),
    (
        "Australia/Lord_Howe",
        "15 2 * * *",
        "2026-10-03T00:00:00Z",
        ["2026-10-03T15:30:00.000Z", "2026-10-04T15:15:00.000Z"],
    ),
    (
        "Australia/Lord_Howe",
        "45 1 * * *",
        "2026-04-04T00:00:00Z",
        ["2026-04-04T14:45:00.000Z", "2026-04-05T15:15:00.000Z"],
    ),
    (
        "Pacific/Apia",
        "0 9 * * *",
        "2011-12-29T20:00:00Z",
        ["2011-12-30T10:00:00.000Z", "2011-12-30T19:00:00.000Z", "2011-12-31T19:00:00.000Z"],
    ),
]


class TestOnANight:
    """Two days' travel over the change."""

    @pytest.fixture(params=NIGHTS, ids=lambda night: f"{night[0]} {night[2][:10]}")
    def night(self, request: pytest.FixtureRequest) -> Any:
        return request.param

    @pytest.fixture
    def clock(self, night: Any) -> ManualClock:
        return ManualClock(datetime.fromisoformat(night[2]))

    async def test_a_time_of_day_fires_once_a_day(self, install: Install, night: Any) -> None:
        zone, cron, _, expected = night
        await install.create(cron=cron, timezone=zone)

        answer = await move(install.alga, advance={"days": 2})

        assert [run["startedAt"] for run in answer["fired"]] == expected
        assert {run["status"] for run in answer["fired"]} == {"success"}

    async def test_an_hourly_schedule_fires_every_hour(self, install: Install, night: Any) -> None:
        if night[0] == "Australia/Lord_Howe":
            return  # half an hour is not a whole number of them
        await install.create(cron=HOURLY, timezone=night[0])

        answer = await move(install.alga, advance={"days": 2})

        assert len(answer["fired"]) == 48
