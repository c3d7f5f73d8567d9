"""Who meets whom on PostgreSQL: a claim, and what changes or ends its schedule at the same moment.

Each meeting is controlled exactly: one side is held inside its transaction until the other waits for it, or has ended.
"""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from functools import partial
from threading import Event
from typing import Any

import anyio
import pytest
from sqlalchemy import Connection, text

from alga_server import ManualClock
from alga_server.catalog import installs, upgrades
from alga_server.errors import NotFound
from alga_server.firing import claims, recording
from alga_server.firing.claims import Claim
from alga_server.firing.due import DueSchedule
from alga_server.firing.places import Places
from alga_server.firing.recording import Ending, RunRecorder, Worker
from alga_server.firing.runs import Run
from alga_server.schedules import schedules
from alga_server.schedules.schedules import Limits
from alga_server.storage import locks
from alga_server.storage.database import Database
from tests.support.patience import PATIENCE_S
from tests.support.server import Alga, Install

pytestmark = [pytest.mark.anyio, pytest.mark.postgres]

NOON = datetime(2026, 1, 1, 12, tzinfo=UTC)
WORKER = Worker("worker-1", timedelta(seconds=60))
OTHER = Worker("worker-2", timedelta(seconds=60))
WAITING = (
    "SELECT count(*) FROM pg_stat_activity WHERE datname = current_database() AND wait_event_type = 'Lock'"
)

Work = Callable[[Connection], Any]


@pytest.fixture
def database(alga: Alga) -> Database:
    database: Database = alga.server._services.database
    return database


@pytest.fixture
async def schedule_id(install: Install) -> str:
    """Of a schedule that is due at noon."""
    created: str = await install.create(cron="0 12 * * *")
    return created


async def meet(database: Database, first: Work, second: Work) -> tuple[Any, Any]:
    """``first`` has done its work and does not commit until ``second`` waits for it; what both return or raise."""
    done, go_on = Event(), Event()
    results: dict[str, Any] = {}

    def held(connection: Connection) -> Any:
        result = first(connection)
        done.set()
        assert go_on.wait(PATIENCE_S)
        return result

    async def run(name: str, work: Work) -> None:
        try:
            results[name] = await database.write(work)
        except NotFound as error:
            results[name] = error
        go_on.set()  # the second did not have to wait

    with anyio.fail_after(PATIENCE_S):
        async with anyio.create_task_group() as group:
            group.start_soon(run, "first", held)
            await anyio.to_thread.run_sync(done.wait, PATIENCE_S)
            group.start_soon(run, "second", second)
            while not go_on.is_set():
                if await database.read(lambda c: c.execute(text(WAITING)).scalar_one()):
                    go_on.set()
    return results["first"], results["second"]


def claiming(install: Install, schedule_id: str, worker: Worker = WORKER) -> Work:
    due = DueSchedule(install.tenant, install.id, schedule_id, running=False)
    return lambda connection: claims.claim_many(connection, [due], worker, ManualClock(NOON), room=1)[0]


def running_now(install: Install, schedule_id: str) -> Work:
    return partial(
        claims.claim_now,
        tenant_id=install.tenant,
        install_id=install.id,
        schedule_id=schedule_id,
        worker=WORKER,
        clock=ManualClock(NOON),
    )


def enabling(install: Install, enabled: bool) -> Work:
    return partial(
        installs.change,
        tenant_id=install.tenant,
        install_id=install.id,
        enabled=enabled,
        grants=None,
        config=None,
        now=NOON,
    )


def uninstalling(install: Install) -> Work:
    return partial(installs.remove, tenant_id=install.tenant, install_id=install.id)


def changing(install: Install, schedule_id: str, **members: Any) -> Work:
    def work(connection: Connection) -> None:
        row = installs.require(connection, install.tenant, install.id, lock=True)
        schedules.change(connection, row, schedule_id, members, limits=Limits(), now=NOON)

    return work


def deleting(install: Install, schedule_id: str) -> Work:
    def work(connection: Connection) -> None:
        row = installs.require(connection, install.tenant, install.id, lock=True)
        schedules.remove(connection, row, schedule_id)

    return work


def creating(install: Install) -> Work:
    def work(connection: Connection) -> str:
        row = installs.require(connection, install.tenant, install.id, lock=True)
        members = {"cron": "0 * * * *", "endpoint": "/sync"}
        return schedules.create(connection, row, members, trigger="t", limits=Limits(), now=NOON).id

    return work


async def upgrading(install: Install) -> Work:
    version = (await install.alga.publish(version="1.1.0"))["versionId"]
    return partial(
        upgrades.upgrade,
        tenant_id=install.tenant,
        install_id=install.id,
        version_id=version,
        may_go_back=False,
        disable_missing=False,
        now=NOON,
    )


async def test_of_two_claims_one_wins(database: Database, install: Install, schedule_id: str) -> None:
    won, lost = await meet(
        database, claiming(install, schedule_id), claiming(install, schedule_id, worker=OTHER)
    )

    assert isinstance(won, Claim)
    assert lost == "nothing"


async def test_a_claim_that_waited_for_an_upgrade_runs_at_the_new_version(
    database: Database, install: Install, schedule_id: str
) -> None:
    upgraded, claimed = await meet(database, await upgrading(install), claiming(install, schedule_id))

    assert claimed.install.version_id == upgraded.install.version_id
    assert claimed.run.status == "running"


async def test_an_upgrade_waits_for_a_claim_and_takes_its_schedule_along(
    database: Database, install: Install, schedule_id: str
) -> None:
    claimed, upgraded = await meet(database, claiming(install, schedule_id), await upgrading(install))

    assert claimed.install.version_id == upgraded.before.version_id
    assert upgraded.remapped == 1


async def test_a_run_now_that_waited_for_an_upgrade_finds_its_install(
    database: Database, install: Install, schedule_id: str
) -> None:
    upgraded, claimed = await meet(database, await upgrading(install), running_now(install, schedule_id))

    assert claimed.install.version_id == upgraded.install.version_id


async def test_a_create_that_waited_for_an_upgrade_finds_its_install(
    database: Database, install: Install
) -> None:
    _, created = await meet(database, await upgrading(install), creating(install))

    assert [schedule["id"] for schedule in await install.list()] == [created]


async def test_a_claim_that_waited_for_a_disabled_install_takes_nothing(
    database: Database, install: Install, schedule_id: str
) -> None:
    _, claimed = await meet(database, enabling(install, False), claiming(install, schedule_id))

    assert claimed == "nothing"
    assert await install.runs() == []


async def test_disabling_an_install_during_a_claim_leaves_no_next_time(
    database: Database, install: Install, schedule_id: str
) -> None:
    claimed, _ = await meet(database, claiming(install, schedule_id), enabling(install, False))

    assert isinstance(claimed, Claim)
    assert await install.next_run_at(schedule_id) is None


async def test_a_claim_that_waited_for_a_delete_takes_nothing(
    database: Database, install: Install, schedule_id: str
) -> None:
    _, claimed = await meet(database, deleting(install, schedule_id), claiming(install, schedule_id))

    assert claimed == "nothing"


async def test_a_schedule_that_is_deleted_during_its_claim_is_gone_and_its_run_is_kept(
    database: Database, install: Install, schedule_id: str
) -> None:
    claimed, _ = await meet(database, claiming(install, schedule_id), deleting(install, schedule_id))

    assert await install.list() == []
    assert [run["id"] for run in await install.runs()] == [claimed.run.id]


async def test_a_claim_that_waited_for_an_uninstall_takes_nothing(
    database: Database, install: Install, schedule_id: str
) -> None:
    _, claimed = await meet(database, uninstalling(install), claiming(install, schedule_id))

    assert claimed == "nothing"


async def test_a_claim_keeps_its_install_until_it_is_recorded(
    database: Database, install: Install, schedule_id: str
) -> None:
    claimed, _ = await meet(database, claiming(install, schedule_id), uninstalling(install))

    assert isinstance(claimed, Claim)
    assert (await install.alga.admin("GET", install.admin_path)).status_code == 404


async def test_a_create_does_not_wait_for_a_claim(
    database: Database, install: Install, schedule_id: str
) -> None:
    claimed, created = await meet(database, claiming(install, schedule_id), creating(install))

    assert isinstance(claimed, Claim)
    assert {schedule["id"] for schedule in await install.list()} == {schedule_id, created}


async def test_a_change_that_waited_for_a_claim_keeps_what_the_claim_did(
    database: Database, install: Install, schedule_id: str
) -> None:
    await meet(database, claiming(install, schedule_id), changing(install, schedule_id, name="New"))

    assert await install.next_run_at(schedule_id) == "2026-01-02T12:00:00.000Z"
    assert (await install.get(schedule_id))["name"] == "New"


async def test_a_run_that_ends_during_an_uninstall_is_nobodys(
    database: Database, install: Install, schedule_id: str
) -> None:
    claimed = await database.write(claiming(install, schedule_id))
    finish = partial(recording.finish, run=claimed.run, ending=Ending("success"), duration_ms=1)

    _, ended = await meet(database, uninstalling(install), finish)

    assert ended is None


async def test_an_uninstall_waits_for_a_run_that_ends(
    database: Database, install: Install, schedule_id: str
) -> None:
    claimed = await database.write(claiming(install, schedule_id))
    finish = partial(recording.finish, run=claimed.run, ending=Ending("success"), duration_ms=1)

    ended, _ = await meet(database, finish, uninstalling(install))

    assert ended.status == "success"


async def test_a_run_that_ends_while_it_is_given_up_is_given_up(
    database: Database, install: Install, schedule_id: str
) -> None:
    claimed = await database.write(claiming(install, schedule_id))
    late = NOON + timedelta(hours=1)
    finish = partial(recording.finish, run=claimed.run, ending=Ending("success"), duration_ms=1)

    lost, ended = await meet(
        database, partial(recording.reap, expired_at=late, clock=ManualClock(NOON)), finish
    )

    assert [run.status for run in lost] == ["lost"]
    assert ended is None


async def test_two_that_give_up_the_same_runs_give_up_each_once(database: Database, install: Install) -> None:
    for _ in range(5):
        await database.write(claiming(install, await install.create(cron="0 12 * * *")))
    reap = partial(recording.reap, expired_at=NOON + timedelta(hours=1), clock=ManualClock(NOON))

    first, second = await meet(database, reap, reap)

    assert (len(first), second) == (5, [])


async def test_a_claim_whose_run_ends_meanwhile_is_an_overlap_or_runs(
    database: Database, install: Install, schedule_id: str
) -> None:
    running: Claim = await database.write(running_now(install, schedule_id))
    finish = partial(recording.finish, run=running.run, ending=Ending("success"), duration_ms=1)

    _, claimed = await meet(database, finish, claiming(install, schedule_id))

    assert isinstance(claimed, Claim)


async def test_a_claim_during_a_run_is_an_overlap_and_does_not_hold_up_its_end(
    database: Database, install: Install, schedule_id: str
) -> None:
    running: Claim = await database.write(running_now(install, schedule_id))
    finish = partial(recording.finish, run=running.run, ending=Ending("success"), duration_ms=1)

    skipped, ended = await meet(database, claiming(install, schedule_id), finish)

    assert isinstance(skipped, Run)
    assert (skipped.reason, ended.status) == ("overlap", "success")


def claiming_some(install: Install, ids: list[str], worker: Worker = WORKER) -> Work:
    due = [DueSchedule(install.tenant, install.id, schedule_id, running=False) for schedule_id in ids]
    return partial(claims.claim_many, due=due, worker=worker, clock=ManualClock(NOON), room=50)


async def test_two_that_claim_many_in_opposite_orders_claim_each_once(
    database: Database, install: Install
) -> None:
    ids = [await install.create(cron="0 12 * * *") for _ in range(8)]

    first, second = await meet(
        database, claiming_some(install, ids), claiming_some(install, ids[::-1], worker=OTHER)
    )

    assert [claim.run.schedule_id for claim in first] == ids
    assert second == ["nothing"] * 8


@pytest.mark.parametrize("first", [True, False])
async def test_claims_of_many_and_an_uninstall_do_not_wait_in_a_circle(
    database: Database, install: Install, first: bool
) -> None:
    ids = [await install.create(cron="0 12 * * *") for _ in range(8)]
    claim, uninstall = claiming_some(install, ids[::-1]), uninstalling(install)

    results = await meet(database, *((claim, uninstall) if first else (uninstall, claim)))

    outcomes = results[0] if first else results[1]
    assert sum(isinstance(outcome, Claim) for outcome in outcomes) == (8 if first else 0)
    assert (await install.alga.admin("GET", install.admin_path)).status_code == 404


def claiming_free(install: Install, ids: list[str], worker: Worker = WORKER, *, together: int) -> Work:
    due = [DueSchedule(install.tenant, install.id, schedule_id, running=False) for schedule_id in ids]

    def work(connection: Connection) -> dict[str, str]:
        claimed = claims.claim_some(
            connection,
            due,
            Places(50).pick,
            worker,
            ManualClock(NOON),
            together=together,
            room=50,
            wait=False,
        )
        outcomes = {
            one.schedule_id: outcome if isinstance(outcome, str) else "claimed"
            for one, outcome in claimed.outcomes
        }
        return outcomes | {one.schedule_id: "rest" for one in claimed.rest}

    return work


async def test_a_claim_takes_the_schedules_behind_those_that_another_server_has_locked(
    database: Database, install: Install
) -> None:
    ids = [await install.create(cron="0 12 * * *") for _ in range(9)]

    first, second = await meet(
        database,
        claiming_free(install, ids, together=3),
        claiming_free(install, ids, worker=OTHER, together=3),
    )

    assert [first[one] for one in ids] == ["claimed"] * 3 + ["rest"] * 6
    assert [second[one] for one in ids] == ["locked"] * 3 + ["claimed"] * 3 + ["rest"] * 3


@pytest.mark.parametrize("first", [True, False])
async def test_a_claim_that_waits_for_none_and_an_uninstall_do_not_wait_in_a_circle(
    database: Database, install: Install, first: bool
) -> None:
    ids = [await install.create(cron="0 12 * * *") for _ in range(4)]
    claim, uninstall = claiming_free(install, ids, together=4), uninstalling(install)

    results = await meet(database, *((claim, uninstall) if first else (uninstall, claim)))

    outcomes = results[0] if first else results[1]
    assert set(outcomes.values()) == {"claimed" if first else "locked"}
    assert (await install.alga.admin("GET", install.admin_path)).status_code == 404


async def test_an_install_that_is_being_removed_is_passed_over_with_its_schedules(
    database: Database, install: Install
) -> None:
    ids = [await install.create(cron="0 12 * * *") for _ in range(2)]

    def removing(connection: Connection) -> None:
        connection.execute(text("SELECT 1 FROM tenant_extension_install FOR UPDATE"))

    _, outcomes = await meet(database, removing, claiming_free(install, ids, together=2))

    assert outcomes == dict.fromkeys(ids, "locked")


async def test_what_another_server_has_claimed_is_not_locked_as_well(
    database: Database, install: Install
) -> None:
    ids = [await install.create(cron="0 12 * * *") for _ in range(3)]
    await database.write(claiming_some(install, ids[:2]))
    places = [(install.tenant, install.id)]

    free = await database.write(lambda c: locks.claim_free(c, ids, NOON, 9))
    waited = await database.write(lambda c: locks.claim_several(c, places, ids, NOON))

    assert free == waited == {ids[2]}


async def test_ends_of_many_runs_and_a_disabled_install_do_not_wait_in_a_circle(
    database: Database, install: Install
) -> None:
    ids = [await install.create(cron="0 12 * * *") for _ in range(8)]
    held = await database.write(claiming_some(install, ids))
    endings = RunRecorder(database)

    async with anyio.create_task_group() as group:
        for claimed in reversed(held):
            group.start_soon(partial(endings.record, claimed.run, Ending("success"), duration_ms=1))
        group.start_soon(database.write, enabling(install, False))

    assert [run["status"] for run in await install.runs()] == ["success"] * 8


async def test_heartbeats_and_an_uninstall_do_not_wait_for_each_other_in_a_circle(
    database: Database, install: Install
) -> None:
    runs = [
        (await database.write(claiming(install, await install.create(cron="0 12 * * *")))).run.id
        for _ in range(8)
    ]

    kept, _ = await meet(
        database, lambda c: recording.renew(c, WORKER, runs[::-1], ManualClock(NOON)), uninstalling(install)
    )

    assert kept == set(runs)
