"""Two servers and two runners, restarted in turn under load: nothing that was acknowledged is lost."""

from __future__ import annotations

import re
import signal
import threading
from collections import Counter
from collections.abc import Callable
from contextlib import suppress
from datetime import UTC, datetime, timedelta
from itertools import count, cycle

import httpx
import pytest

from tests.support.patience import PATIENCE_S

pytestmark = pytest.mark.processes

WRITERS = 3
RESTARTS = (
    ("server", 0, signal.SIGTERM),
    ("runner", 1, signal.SIGTERM),
    ("server", 1, signal.SIGKILL),
    ("runner", 0, signal.SIGTERM),
    ("server", 0, signal.SIGTERM),
    ("runner", 1, signal.SIGKILL),
)
BETWEEN = 12
"""Schedules that are created or deleted between two restarts."""

FIRED = re.compile(r"Sync: trigger schedule, schedule (\S+), nominal time (\S+), ")


class RoundRobin:
    """Calls the demo through one gateway after the other. Nothing is tried twice."""

    def __init__(self, servers, extension_id: str) -> None:
        self._servers = cycle(servers)
        self._lock = threading.Lock()
        self._extension_id = extension_id

    def attempt(self, **call: object) -> dict | None:
        """The guest's answer; ``None`` if no guest answered."""
        with self._lock:
            server = next(self._servers)
        try:
            response = server.ask(self._extension_id, "/try", call)
        except httpx.TransportError:
            return None
        return response.json() if response.status_code == 200 else None


class Record:
    """The attempted and the acknowledged changes: creates by name, deletes by id."""

    def __init__(self) -> None:
        self.closed = False
        self.tried: set[str] = set()
        self.created: dict[str, str] = {}
        self.delete_tried: set[str] = set()
        self.deleted: set[str] = set()
        self._grown = threading.Condition()

    @property
    def acknowledged(self) -> int:
        return len(self.created) + len(self.deleted)

    def grow(self, change: Callable[[], object]) -> None:
        with self._grown:
            change()
            self._grown.notify_all()

    def wait_for(self, more: int) -> None:
        """Return once so much more was acknowledged, or the record closed."""
        with self._grown:
            target = self.acknowledged + more
            enough = self._grown.wait_for(
                lambda: self.closed or self.acknowledged >= target, timeout=PATIENCE_S
            )
            assert enough, "no progress"

    def close(self) -> None:
        """Stop the threads that write into it."""
        with self._grown:
            self.closed = True
            self._grown.notify_all()


class Load:
    """Threads that work until the record closes; a failure of one closes it, and fails the test."""

    def __init__(self, record: Record) -> None:
        self._record = record
        self._threads: list[threading.Thread] = []
        self._failures: list[Exception] = []

    def add(self, work: Callable[[], None]) -> None:
        """Do ``work`` again and again."""

        def repeat() -> None:
            try:
                while not self._record.closed:
                    work()
            except Exception as error:  # noqa: BLE001 - raised in the test's own thread
                self._failures.append(error)
                self._record.close()

        self._threads.append(threading.Thread(target=repeat, daemon=True))
        self._threads[-1].start()

    def lift(self) -> None:
        self._record.close()
        for thread in self._threads:
            thread.join()
        for failure in self._failures:
            raise failure


@pytest.fixture(scope="module")
def houses(town):
    """Two of each. A server asks its own runner, which asks it back; what they share is the database and the folder."""
    setting = {
        "ALGA_SERVER_MAX_SCHEDULES_PER_INSTALL": "100000",
        "ALGA_SERVER_SCHEDULE_CHANGES_BURST": "100000",
        "ALGA_SERVER_RUN_LEASE_SECONDS": "3600",
    }
    pairs = [town.pair("--dev", **setting) for _ in range(2)]
    return {"server": [server for server, _ in pairs], "runner": [runner for _, runner in pairs]}


@pytest.fixture(scope="module")
def installed(houses, demo_archive):
    first, _ = houses["server"]
    return first.install(first.publish(demo_archive)["extensionId"])


def writer(number: int, client: RoundRobin, record: Record) -> Callable[[], None]:
    """Creates schedules that are due every hour, and deletes every third of them."""
    numbers = count()

    def work() -> None:
        turn = next(numbers)
        name = f"{number}/{turn}"
        record.tried.add(name)
        seen = client.attempt(
            operation="create", endpoint="/sync", cron="0 * * * *", name=name, payload={"full": False}
        )
        if seen is None or "ok" not in seen:
            return
        schedule_id = seen["ok"]["scheduleId"]
        record.grow(lambda: record.created.update({name: schedule_id}))
        if turn % 3 == 0:
            record.delete_tried.add(schedule_id)
            seen = client.attempt(operation="delete", scheduleId=schedule_id)
            if seen is not None and "ok" in seen:
                record.grow(lambda: record.deleted.add(schedule_id))

    return work


def clockwork(servers, record: Record) -> Callable[[], None]:
    """Moves both servers' clocks to the next hour concurrently, so that both have the same schedules due."""
    hours = count(1)
    start = datetime.now(UTC)

    def move(server, target: datetime) -> None:
        with suppress(
            httpx.TransportError, AssertionError
        ):  # it is down, or the time has passed there already
            server.admin("POST", "clock", json={"to": target.isoformat()})

    def work() -> None:
        target = start + timedelta(hours=next(hours))
        both = [threading.Thread(target=move, args=(server, target)) for server in servers]
        for thread in both:
            thread.start()
        for thread in both:
            thread.join()
        record.wait_for(3)

    return work


def test_no_acknowledged_schedule_is_lost_and_no_time_fires_twice(houses, installed) -> None:
    servers, runners = houses["server"], houses["runner"]
    record = Record()
    load = Load(record)
    client = RoundRobin(servers, installed["extensionId"])
    for number in range(WRITERS):
        load.add(writer(number, client, record))
    load.add(clockwork(servers, record))

    statuses = []
    for kind, number, how in RESTARTS:
        record.wait_for(BETWEEN)
        program = houses[kind][number]
        statuses.append((how, program.stop(how)))
        record.wait_for(2)  # the other pair goes on meanwhile
        program.start()
    record.wait_for(BETWEEN)
    load.lift()

    assert [status for how, status in statuses if how == signal.SIGTERM] == [0, 0, 0, 0]
    for server in servers:
        schedules = server.of(installed, "schedules")
        ids = {schedule["id"] for schedule in schedules}
        assert set(record.created.values()) - record.delete_tried <= ids
        assert record.deleted.isdisjoint(ids)
        by_name = {schedule["name"]: schedule["id"] for schedule in schedules}
        assert by_name.keys() <= record.tried
        assert len(by_name) == len(schedules)
        assert by_name.items() >= {
            (name, created) for name, created in record.created.items() if created not in record.delete_tried
        }

    fired = Counter(
        seen.groups()
        for runner in runners
        for line in runner.log_lines("guest_log")
        if (seen := FIRED.match(line["detail"]))
    )
    assert len(fired) > 2 * len(RESTARTS)
    assert fired.most_common(1)[0][1] == 1
