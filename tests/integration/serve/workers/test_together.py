"""What workers share, and how one leaves while the other goes on. One runner goes through all of it."""

from __future__ import annotations

import os
import signal
import threading
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import suppress
from itertools import count
from pathlib import Path
from typing import Any

import httpx
import pytest

pytestmark = pytest.mark.processes

KEYS = count(1)
MANY = 100
"""Connections among which each worker has its share, however busy the machine is."""


@pytest.fixture(scope="module")
def store(tmp_path_factory) -> Path:
    folder: Path = tmp_path_factory.mktemp("bundles")
    return folder


@pytest.fixture(scope="module")
def lasting_alga(make_alga):
    with make_alga() as alga:
        yield alga


@pytest.fixture
def fake_alga(lasting_alga):
    """Every test has its host calls on connections of its own."""
    yield lasting_alga
    lasting_alga.forget()


@pytest.fixture(scope="module")
def server(launch, store: Path, lasting_alga):
    with launch(store, "--workers", "2", "--server-url", lasting_alga.url) as running:
        yield running


@pytest.fixture
def workers(workers_of, server, headers, ok):
    with workers_of(server, headers, ok) as known:
        known.settle()
        yield known


@pytest.fixture
def keyed(headers) -> dict[str, str]:
    """Headers with an idempotency key of its own."""
    return headers | {"x-idempotency-key": f"key-{next(KEYS)}"}


def test_each_worker_has_its_share_of_the_connections_and_signs_its_lines(workers) -> None:
    seen: Counter[tuple[int, int]] = Counter()
    # A worker that the system keeps from running leaves connections to the other, and gets the next ones instead.
    while seen.total() < MANY and (seen.total() < 8 or max(seen.values()) > seen.total() * 3 // 4):
        seen[workers.whose(workers.client())] += 1

    assert sorted(number for number, _ in seen) == [1, 2]
    assert max(seen.values()) <= seen.total() * 3 // 4


def test_probes_count_the_workers_that_answer(workers) -> None:
    for connection in workers.connect()[0].values():
        for route in ("/readyz?checks=own", "/healthz"):
            answer = connection.get(route)
            assert (answer.status_code, answer.json()["workers"]) == (200, {"ready": 2, "of": 2})


def test_metrics_of_any_worker_are_those_of_all(workers, ok) -> None:
    connections, _ = workers.connect()
    before = executed(connections[1])
    for connection in connections.values():
        connection.post("/v1/execute", json=ok, headers=workers.headers)

    assert [executed(connection) for connection in connections.values()] == [before + 2, before + 2]


def test_a_reply_of_one_worker_is_replayed_by_the_other(workers, ok, keyed) -> None:
    connections, _ = workers.connect()
    other_request = {**ok, "http": {"method": "GET", "path": "/"}}

    first = connections[1].post("/v1/execute", json=ok, headers=keyed)
    again = connections[2].post("/v1/execute", json=ok, headers=keyed)
    reused = connections[2].post("/v1/execute", json=other_request, headers=keyed)

    assert "idempotent-replayed" not in first.headers
    assert again.headers["idempotent-replayed"] == "true"
    assert again.json() == first.json()
    assert reused.json()["error"] == "idempotency_key_reused"


@pytest.fixture
def same_requests(workers, waiting, fake_alga, keyed, ask):
    """A request on worker 1 that waits for the Alga server, the same request on worker 2, and the processes."""
    connections, pids = workers.connect()
    first = ask(connections[1], waiting, keyed)
    host_call = fake_alga.asked()
    second = ask(connections[2], waiting, keyed)
    return first, host_call, second, pids


def test_the_same_request_on_another_worker_waits_for_the_first(same_requests, fake_alga) -> None:
    first, host_call, second, _ = same_requests

    fake_alga.answer(host_call)

    assert first.answer().json()["status"] == second.answer().json()["status"] == 200
    replayed = ["idempotent-replayed" in asked.answer().headers for asked in (first, second)]
    assert replayed == [False, True]


def test_a_worker_that_is_killed_releases_the_key(same_requests, fake_alga, workers) -> None:
    first, host_call, second, pids = same_requests

    os.kill(pids[1], signal.SIGKILL)
    fake_alga.answer(fake_alga.asked())  # the second is executed

    assert second.answer().json()["status"] == 200
    assert "idempotent-replayed" not in second.answer().headers
    first.join()
    assert first.response is None
    assert host_call.recv(1) == b""


def test_a_reply_outlives_the_worker_that_made_it(workers, ok, keyed, gone) -> None:
    connections, pids = workers.connect()
    first = connections[1].post("/v1/execute", json=ok, headers=keyed)

    os.kill(pids[1], signal.SIGKILL)
    gone(pids[1])
    again = connections[2].post("/v1/execute", json=ok, headers=keyed)

    assert again.json() == first.json()
    assert again.headers["idempotent-replayed"] == "true"


class Load:
    """Clients that ask again and again until ``lift``, and readings of a counter that must not go back."""

    def __init__(self, workers, body: dict[str, Any], eventually, clients: int = 4) -> None:
        self.outcomes: Counter[str] = Counter()
        self.seen: list[float] = []
        self._over = threading.Event()
        self._lock = threading.Lock()
        self._workers, self._body, self._eventually = workers, body, eventually
        self._threads = [
            threading.Thread(target=work, args=(workers.client(),), daemon=True)
            for work in (self._look, *[self._ask] * clients)
        ]
        for thread in self._threads:
            thread.start()

    def lift(self) -> Counter[str]:
        self._over.set()
        for thread in self._threads:
            thread.join()
        return self.outcomes

    def wait_for(self, more: int) -> None:
        """Return when so many more requests are answered."""
        enough = self.outcomes["ok"] + more
        self._eventually(lambda: self.outcomes["ok"] >= enough)

    def _ask(self, client: httpx.Client) -> None:
        while not self._over.is_set():
            outcome = "lost"
            with suppress(httpx.TransportError):
                reply = client.post("/v1/execute", json=self._body, headers=self._workers.headers)
                outcome = "ok" if reply.status_code == 200 and reply.json()["error"] is None else reply.text
            with self._lock:
                self.outcomes[outcome] += 1

    def _look(self, client: httpx.Client) -> None:
        while not self._over.is_set():
            with suppress(httpx.TransportError):
                self.seen.append(executed(client))


def executed(client: httpx.Client) -> float:
    """All executions, as /metrics has them."""
    lines = client.get("/metrics").text.splitlines()
    return sum(
        float(line.rpartition(" ")[2]) for line in lines if line.startswith("alga_runner_executions_total{")
    )


@pytest.fixture
def load(workers, ok, eventually) -> Iterator[Callable[[], Load]]:
    """Put the workers under load."""
    loads: list[Load] = []

    def put() -> Load:
        loads.append(Load(workers, ok, eventually))
        loads[-1].wait_for(20)
        return loads[-1]

    yield put
    for begun in loads:
        begun.lift()


def test_all_are_replaced_under_load_and_no_request_is_lost(workers, load, gone) -> None:
    _, pids = workers.connect()
    workers.leave()
    before = workers.executed()
    replaced = workers.metric('alga_runner_workers_ended_total{why="asked"}')
    under = load()

    workers.server.signal(signal.SIGHUP)
    for pid in pids.values():
        gone(pid)
    under.wait_for(20)
    outcomes = under.lift()

    assert outcomes.keys() == {"ok"}
    assert workers.executed() == before + outcomes["ok"]
    assert under.seen == sorted(under.seen)
    assert workers.metric('alga_runner_workers_ended_total{why="asked"}') == replaced + 2


def test_one_that_is_killed_under_load_loses_what_it_had_and_is_replaced(workers, load) -> None:
    _, pids = workers.connect()
    crashed = workers.metric('alga_runner_workers_ended_total{why="crash"}')
    under = load()

    os.kill(pids[2], signal.SIGKILL)
    died = workers.server.log_line("worker_died", pid=pids[2])
    workers.server.log_line("worker_started", worker=2)
    under.wait_for(20)
    outcomes = under.lift()

    assert died["message"] == f"Worker 2 (process {pids[2]}) died by SIGKILL"
    assert outcomes.keys() <= {"ok", "lost"}
    assert outcomes["lost"] <= 4  # one for each client, at most
    assert under.seen == sorted(under.seen)
    assert workers.metric('alga_runner_workers_ended_total{why="crash"}') == crashed + 1
    workers.settle()


def test_an_execution_ends_on_the_worker_that_is_replaced(workers, waiting, fake_alga, ask, gone) -> None:
    connections, pids = workers.connect()
    under_way = ask(connections[1], waiting, workers.headers)
    host_call = fake_alga.asked()

    os.kill(pids[1], signal.SIGTERM)
    workers.server.log_line("retiring", pid=pids[1])
    number, pid = workers.whose(workers.client())
    fake_alga.answer(host_call)

    assert (number, pid) != (1, pids[1])
    assert under_way.answer().json()["status"] == 200
    assert under_way.answer().headers["connection"] == "close"
    gone(pids[1])


def test_a_request_on_a_connection_of_the_worker_that_is_replaced_is_carried_out(workers, gone) -> None:
    connections, pids = workers.connect()

    os.kill(pids[1], signal.SIGTERM)
    workers.server.log_line("retiring", pid=pids[1])

    assert workers.whose(connections[1]) == (1, pids[1])
    gone(pids[1])
    assert workers.whose(connections[1])[1] != pids[1]  # its client has another connection


def test_one_that_hangs_holds_up_nobody(workers, ok) -> None:
    connections, pids = workers.connect()
    before = executed(connections[2])
    os.kill(pids[1], signal.SIGSTOP)
    try:
        answers = [workers.client().post("/v1/execute", json=ok, headers=workers.headers) for _ in range(4)]
        after = executed(connections[2])
    finally:
        os.kill(pids[1], signal.SIGCONT)

    assert [answer.json()["status"] for answer in answers] == [200] * 4
    assert after == before + 4


def test_nothing_of_all_that_was_logged_is_a_traceback(workers) -> None:
    assert "Traceback" not in "\n".join(workers.server.stderr.seen)
