"""The server is killed at every step of every operation; the database stays consistent and goes on.

``killed_process.py`` has the operations and dies. This looks at the database with statements of its own, so that it
does not believe what the server believes. ``KILL_EVERY=1`` kills before and after the statements in between, too.
"""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any
from uuid import uuid4

import pytest
from sqlalchemy import Engine, NullPool, create_engine, make_url, text

pytestmark = [pytest.mark.processes, pytest.mark.postgres]

PROGRAM = Path(__file__).with_name("killed_process.py")
EVERY = os.environ.get("KILL_EVERY") == "1"
START = datetime(2026, 1, 1, tzinfo=UTC)
TENANT = "tenant-a"

ONE, REPORT, OFF, NEW = "One", "Report", "Off", "New"
SCHEDULES, RUNS = "tenant_extension_schedule", "tenant_extension_schedule_run"
OWNED = (
    "tenant_extension_grant",
    SCHEDULES,
    RUNS,
    "tenant_extension_schedule_creation",
)


class Killing:
    """The program, and the database that its servers share."""

    def __init__(self, process: subprocess.Popen[str], url: str, calls: Path) -> None:
        self._process = process
        self._url = url
        self._calls = calls
        self.engine: Engine = create_engine(url, poolclass=NullPool)
        self.busy = False
        """Whether one of its servers lives."""
        self._published: dict[str, str] = {}

    def start(self) -> None:
        """Load, migrate and publish."""
        assert self.hear() == "ready"
        self.order("publish", "")
        self._published = self.hear()
        self.ended()

    def live(self, operation: str, kill_at: int | None = None) -> dict[str, str]:
        """A server that prepared the operation and waits for the word; the ids it made."""
        self._calls.write_text("")
        self.order("live", operation, scene=self._published, kill_at=kill_at)
        scene: dict[str, str] = self.hear()
        return scene

    def find(self, operation: str, scene: dict[str, str], now: datetime, **more: Any) -> Any:
        """Start a server on the database; return what it reports of it."""
        self.order("find", operation, scene=scene, now=now.isoformat(), **more)
        return self.hear()

    def order(self, phase: str, operation: str, **more: Any) -> None:
        common = {"url": self._url, "calls": str(self._calls), "tenant": TENANT, "every": EVERY}
        self.busy = True
        self.say({**common, "phase": phase, "operation": operation, **more})

    def say(self, value: Any = None) -> None:
        assert self._process.stdin is not None
        self._process.stdin.write(json.dumps(value or {}) + "\n")
        self._process.stdin.flush()

    def hear(self) -> Any:
        assert self._process.stdout is not None
        line = self._process.stdout.readline()
        assert line, "the program ended"
        return json.loads(line)

    def ended(self, status: int = 0) -> None:
        assert self.hear() == {"ended": status}
        self.busy = False

    def calls(self) -> list[dict[str, Any]]:
        """The requests that the runner received, from any server."""
        return [json.loads(line) for line in self._calls.read_text().splitlines()]

    def rows(self, table: str, where: str = "1 = 1") -> list[dict[str, Any]]:
        with self.engine.connect() as connection:
            rows = connection.execute(text(f"SELECT * FROM {table} WHERE {where}"))
            return [dict(row) for row in rows.mappings()]


@pytest.fixture(scope="module")
def empty_database(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Callable[[], str]]:
    """Makes an empty database; its URL. On the PostgreSQL server at ``ALGA_TEST_POSTGRES``, if there is one."""
    server = os.environ.get("ALGA_TEST_POSTGRES")
    if not server:
        yield lambda: f"sqlite:///{tmp_path_factory.mktemp('killed') / 'alga.db'}"
        return
    engine = create_engine(
        make_url(server).set(drivername="postgresql+psycopg"), isolation_level="AUTOCOMMIT"
    )
    made: list[str] = []

    def make() -> str:
        made.append(f"killed_{uuid4().hex}")
        with engine.connect() as connection:
            connection.exec_driver_sql(f"CREATE DATABASE {made[-1]}")
        return engine.url.set(database=made[-1]).render_as_string(hide_password=False)

    yield make
    with engine.connect() as connection:
        for name in made:
            connection.exec_driver_sql(f"DROP DATABASE {name} WITH (FORCE)")
    engine.dispose()


@pytest.fixture(scope="module")
def programs(
    empty_database: Callable[[], str], tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Programs]:
    with ExitStack() as stack:

        def start() -> Killing:
            calls = tmp_path_factory.mktemp("calls") / "calls"
            return stack.enter_context(running(empty_database(), calls))

        yield Programs(start)


@pytest.fixture
def killing(programs: Programs) -> Killing:
    """The program, as long as no test left it in the middle of something."""
    if programs.current is None or programs.current.busy:
        programs.current = programs.start()
    return programs.current


@dataclass
class Programs:
    start: Callable[[], Killing]
    current: Killing | None = None


@contextmanager
def running(url: str, calls: Path) -> Iterator[Killing]:
    """The program, started, on an empty database."""
    command = [sys.executable, str(PROGRAM)]
    with subprocess.Popen(
        command,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        text=True,
        start_new_session=True,
    ) as process:
        try:
            killing = Killing(process, url, calls)
            killing.start()
            yield killing
        finally:
            os.killpg(process.pid, signal.SIGKILL)  # what it forked, too, where a test failed in the middle


def check_queue(killing: Killing, schedules: Iterable[Mapping[str, Any]]) -> None:
    """On PostgreSQL a schedule's job is one of Procrastinate's: one waits for each that is live, until it is due."""
    expected = {
        row["id"]: min(time for time in (row["next_run_at"], row["retry_at"]) if time is not None)
        for row in schedules
        if row["next_run_at"] is not None
    }
    waiting = [row for row in killing.rows("procrastinate_jobs") if row["status"] == "todo"]
    assert len(waiting) == len(expected), waiting
    due = {row["queueing_lock"]: row["scheduled_at"].astimezone(UTC).replace(tzinfo=None) for row in waiting}
    assert due == expected


def check(killing: Killing) -> None:
    """No schedule without its job, no job without its schedule, no row that hangs on nothing."""
    installs = {row["id"]: row for row in killing.rows("tenant_extension_install")}
    endpoints = {row["id"]: row for row in killing.rows("extension_api_endpoint")}
    schedules = {row["id"]: row for row in killing.rows(SCHEDULES)}
    for table in OWNED:
        assert {row["install_id"] for row in killing.rows(table)} <= set(installs), table
    for row in schedules.values():
        install = installs[row["install_id"]]
        next_time = (row["next_run_at"], row["next_nominal_time"])
        retry = [row[name] for name in ("retry_at", "retry_attempt", "retry_nominal_time", "retry_due_at")]
        if not (row["enabled"] and install["enabled"]):
            assert next_time == (None, None), row
            assert retry == [None] * 4, row
            continue
        assert endpoints[row["endpoint_id"]]["version_id"] == install["version_id"], row
        assert next_time == _hourly(row), row
        assert retry.count(None) in {0, 4}, row
    if killing.engine.dialect.name == "postgresql":
        check_queue(killing, schedules.values())
    running: Counter[str] = Counter()
    times: Counter[tuple[str, ...]] = Counter()
    for row in killing.rows(RUNS):
        times[row["schedule_id"], row["trigger"], row["nominal_time"], str(row["attempt"])] += 1
        running[row["schedule_id"]] += row["status"] == "running"
        assert (row["status"] == "running") == (row["lease_expires_at"] is not None), row
        assert (row["status"] == "running") == (row["finished_at"] is None), row
    assert set(times.values()) <= {1}
    assert set(running.values()) <= {0, 1}


def _hourly(row: dict[str, Any]) -> tuple[Any, str]:
    """The columns of a schedule that fires once an hour: its next time is such a time."""
    due_at = row["next_run_at"]
    instant = due_at if isinstance(due_at, datetime) else datetime.fromisoformat(due_at)
    assert (instant.minute, instant.second, instant.microsecond) == (int(row["cron"].split()[0]), 0, 0)
    return due_at, instant.isoformat(timespec="milliseconds") + "Z"


def snapshot(killing: Killing, scene: dict[str, str]) -> Any:
    """What there is of the install, with names in place of ids that differ from one time to the next."""
    known = {value: name for name, value in scene.items()}
    for row in killing.rows(SCHEDULES):
        known.setdefault(row["id"], f"made {row['name']}")

    def plain(row: dict[str, Any]) -> str:
        shown = {
            key: known.get(value, value) if isinstance(value, str) else value for key, value in row.items()
        }
        return json.dumps(shown, sort_keys=True, default=str)

    of_tenant = f"tenant_id = '{TENANT}'"
    tables = ("tenant_extension_install", *OWNED)
    return {table: sorted(plain(row) for row in killing.rows(table, of_tenant)) for table in tables}


ENDS: dict[str, tuple[set[int], list[str]]] = {
    # Operation: what its repetition may answer; who fires in the hour after.
    "create": ({201}, [ONE, REPORT, NEW]),
    "update": ({200}, [ONE, REPORT]),
    "disable": ({200}, [REPORT]),
    "enable": ({200}, [ONE, REPORT, OFF]),
    "delete": ({200, 404}, [REPORT]),
    "create by an admin": ({201, 400}, [ONE, REPORT, NEW]),
    "disable by an admin": ({200}, [REPORT]),
    "enable by an admin": ({200}, [ONE, REPORT, OFF]),
    "delete by an admin": ({204, 404}, [REPORT]),
    "disable the install": ({200}, []),
    "enable the install": ({200}, [ONE, REPORT]),
    "uninstall": ({204, 404}, []),
    "upgrade": ({200}, [ONE, REPORT]),
    "upgrade and disable": ({200}, [ONE]),
}


@pytest.mark.parametrize("operation", ENDS)
def test_an_operation_that_is_cut_off_happened_or_did_not_and_can_be_repeated(
    killing: Killing, operation: str
) -> None:
    before, after, steps = whole(killing, operation)
    answers, firing = ENDS[operation]
    seen = set()
    for number, name in enumerate(steps, 1):
        scene = killing.live(operation, kill_at=number)
        killing.say()
        killing.ended(-signal.SIGKILL)

        where = f"killed at step {number} of {len(steps)}, {name}"
        state = snapshot(killing, scene)
        assert state in (before, after), where
        assert (state == after) == ("after commit" in steps[: number - 1] or name == "after commit"), where
        seen.add(state == after)
        check(killing)

        restarted = killing.find(operation, scene, START, again=True, **{"pass": [60]})
        assert (restarted["repaired"], restarted["left"]) == ([], []), where
        assert restarted["again"][0] in answers, where
        repeated = snapshot(killing, scene)
        assert repeated[SCHEDULES] == after[SCHEDULES], where
        if operation == "create":  # by its key it happened once, and was counted once
            assert repeated == after, where
        check(killing)
        killing.say()
        assert killing.hear() == "passed"
        assert sorted(fired(killing, scene)) == sorted(firing), where
        check(killing)
        killing.say()
        killing.ended()
    assert seen == {True, False}


def whole(killing: Killing, operation: str) -> tuple[Any, Any, list[str]]:
    """Return the state before and after an operation that is not killed, and its steps."""
    scene = killing.live(operation)
    before = snapshot(killing, scene)
    killing.say()
    message = killing.hear()
    killing.ended()
    assert message["status"] < 300, message
    after = snapshot(killing, scene)
    clean(killing, operation, scene)
    assert "before commit" in message["steps"]
    return before, after, message["steps"]


def clean(killing: Killing, operation: str, scene: dict[str, str]) -> None:
    """Take the install away."""
    killing.find(operation, scene, START, again=False, **{"pass": []})
    killing.say()
    assert killing.hear() == "passed"
    killing.say()
    killing.ended()


def fired(killing: Killing, scene: dict[str, str]) -> list[str]:
    """The names of the schedules that the runner was asked to run, as often as it was."""
    names = {value: name for name, value in scene.items()}
    return [names.get(request["schedule_id"], NEW) for request in killing.calls()]


def cut_off(killing: Killing, operation: str, now: datetime, passing: list[int]) -> Iterator[dict[str, str]]:
    """Kill at each step, look, let another server go on; after that, the ids."""
    *_, steps = whole(killing, operation)
    assert {"before the call", "during the call"} <= set(steps)
    for number in range(1, len(steps) + 1):
        scene = killing.live(operation, kill_at=number)
        killing.say()
        killing.ended(-signal.SIGKILL)
        check(killing)
        [schedule] = killing.rows(SCHEDULES, f"id = '{scene[ONE]}'")
        scheduled = killing.rows(RUNS, "trigger = 'schedule'")
        assert _moved_on(schedule) == bool(scheduled), f"{number}: {steps[number - 1]}"

        restarted = killing.find(operation, scene, now, again=False, **{"pass": passing})
        assert (restarted["repaired"], restarted["left"]) == ([], [])
        killing.say()
        assert killing.hear() == "passed"
        check(killing)
        yield {**scene, "where": f"killed at step {number} of {len(steps)}, {steps[number - 1]}"}
        killing.say()
        killing.ended()


def _moved_on(schedule: dict[str, Any]) -> bool:
    return not str(schedule["next_nominal_time"]).startswith("2026-01-01T01:00")


def of_hour(rows: list[dict[str, Any]], hour: int) -> list[dict[str, Any]]:
    """The scheduled runs, or calls of the runner, of one nominal time, by attempts."""
    nominal_time = f"2026-01-01T{hour:02}:00:00.000Z"
    of_it = [row for row in rows if row["nominal_time"] == nominal_time and row["trigger"] == "schedule"]
    return sorted(of_it, key=lambda row: int(row["attempt"]))


def test_a_time_whose_server_is_killed_fires_once_and_the_next_one_too(killing: Killing) -> None:
    statuses = Counter[str]()
    for scene in cut_off(killing, "fire", START + timedelta(hours=1), [2, 60]):
        runs, calls = killing.rows(RUNS), killing.calls()
        [first] = of_hour(runs, 1)
        [then] = of_hour(runs, 2)
        assert first["status"] in {"success", "lost"}, scene["where"]
        assert len(of_hour(calls, 1)) in ({1} if first["status"] == "success" else {0, 1}), scene["where"]
        assert (then["status"], len(of_hour(calls, 2))) == ("success", 1), scene["where"]
        statuses[first["status"]] += 1
    assert set(statuses) == {"success", "lost"}


def test_a_run_whose_server_is_killed_is_tried_again_under_the_same_key(killing: Killing) -> None:
    statuses = Counter[str]()
    for scene in cut_off(killing, "fail", START + timedelta(hours=1), [2, 2, 57]):
        runs, calls = of_hour(killing.rows(RUNS), 1), of_hour(killing.calls(), 1)
        assert [run["attempt"] for run in runs] == [1, 2], scene["where"]
        assert runs[0]["status"] in {"error", "lost"}, scene["where"]
        assert runs[1]["status"] == "success", scene["where"]
        assert {call["key"] for call in calls} == {f"{scene[ONE]}:schedule:2026-01-01T01:00:00.000Z"}
        assert set(Counter(call["attempt"] for call in calls).values()) == {1}, scene["where"]
        assert len(of_hour(killing.rows(RUNS), 2)) == 1, scene["where"]
        statuses[runs[0]["status"]] += 1
    assert set(statuses) == {"error", "lost"}


def test_a_run_that_was_asked_for_and_killed_does_not_keep_the_schedule_from_firing(killing: Killing) -> None:
    for scene in cut_off(killing, "run now", START, [2, 60]):
        runs = [run for run in killing.rows(RUNS) if run["schedule_id"] == scene[ONE]]
        asked_for = [run["status"] for run in runs if run["trigger"] == "run_now"]
        assert asked_for in ([], ["success"], ["lost"]), scene["where"]
        assert [run["status"] for run in of_hour(runs, 1)] == ["success"], scene["where"]
