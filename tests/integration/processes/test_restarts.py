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
        """What the guest saw; ``None`` when nobody answered for it."""
        with self._lock:
            server = next(self._servers)
        try:
            response = server.ask(self._extension_id, "/try", call)
        except httpx.TransportError:
            return None
        return response.json() if response.status_code == 200 else None


class ReplyCache:
    """What was tried and what was acknowledged: creates by name, deletes by id."""

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
        """Return once so much more was acknowledged, or the ledger closed."""
        with self._grown:
            wanted = self.acknowledged + more
            enough = self._grown.wait_for(lambda: self.closed or self.acknowledged >= wanted, timeout=60)
            assert enough, "no progress"

    def close(self) -> None:
        """Nobody writes into it any more."""
        with self._grown:
            self.closed = True
            self._grown.notify_all()


class Load:
    """Threads that work until the ledger closes; a failure of one closes it, and fails the test."""

    def __init__(self, ledger: ReplyCache) -> None:
        self._ledger = ledger
        self._threads: list[threading.Thread] = []
        self._failures: list[Exception] = []

    def add(self, work: Callable[[], None]) -> None:
        """Do ``work`` again and again."""

        def repeat() -> None:
            try:
                while not self._ledger.closed:
                    work()
            except Exception as error:  # noqa: BLE001 - raised in the test's own thread
                self._failures.append(error)
                self._ledger.close()

        self._threads.append(threading.Thread(target=repeat, daemon=True))
        self._threads[-1].start()

    def lift(self) -> None:
        self._ledger.close()
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


def writer(number: int, client: RoundRobin, ledger: ReplyCache) -> Callable[[], None]:
    """Creates schedules that are due every hour, and deletes every third of them."""
    numbers = count()

    def work() -> None:
        turn = next(numbers)
        name = f"{number}/{turn}"
        ledger.tried.add(name)
        seen = client.attempt(
            operation="create", endpoint="/sync", cron="0 * * * *", name=name, payload={"full": False}
        )
        if seen is None or "ok" not in seen:
            return
        schedule_id = seen["ok"]["scheduleId"]
        ledger.grow(lambda: ledger.created.update({name: schedule_id}))
        if turn % 3 == 0:
            ledger.delete_tried.add(schedule_id)
            seen = client.attempt(operation="delete", scheduleId=schedule_id)
            if seen is not None and "ok" in seen:
                ledger.grow(lambda: ledger.deleted.add(schedule_id))

    return work


def clockwork(servers, ledger: ReplyCache) -> Callable[[], None]:
    """Moves both servers' clocks to the next hour at once, so that both have the same schedules due."""
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
        for each in both:
            each.start()
        for each in both:
            each.join()
        ledger.wait_for(3)

    return work


def test_no_acknowledged_schedule_is_lost_and_no_time_fires_twice(houses, installed) -> None:
    servers, runners = houses["server"], houses["runner"]
    ledger = ReplyCache()
    load = Load(ledger)
    client = RoundRobin(servers, installed["extensionId"])
    for number in range(WRITERS):
        load.add(writer(number, client, ledger))
    load.add(clockwork(servers, ledger))

    statuses = []
    for kind, number, how in RESTARTS:
        ledger.wait_for(BETWEEN)
        program = houses[kind][number]
        statuses.append((how, program.stop(how)))
        ledger.wait_for(2)  # the other pair goes on meanwhile
        program.start()
    ledger.wait_for(BETWEEN)
    load.lift()

    assert [status for how, status in statuses if how == signal.SIGTERM] == [0, 0, 0, 0]
    for server in servers:
        found = server.of(installed, "schedules")
        ids = {each["id"] for each in found}
        assert set(ledger.created.values()) - ledger.delete_tried <= ids
        assert ledger.deleted.isdisjoint(ids)
        assert {each["name"] for each in found} <= ledger.tried
        assert len({each["name"] for each in found}) == len(found)
        assert {each["name"]: each["id"] for each in found}.items() >= {
            (name, each) for name, each in ledger.created.items() if each not in ledger.delete_tried
        }

    fired = Counter(
        seen.groups()
        for runner in runners
        for line in runner.log_lines("guest_log")
        if (seen := FIRED.match(line["detail"]))
    )
    assert len(fired) > 2 * len(RESTARTS)
    assert fired.most_common(1)[0][1] == 1
