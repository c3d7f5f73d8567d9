"""The supervisor's side of idempotent replies: what a worker may say, and what becomes of it when it dies."""

from __future__ import annotations

import pytest

from alga_runner.service.http import Answer
from alga_runner.service.idempotency import IdempotencyKey
from alga_runner.service.reply_cache import ReplyCache
from alga_runner.workers import claims
from alga_runner.workers.channel import ChannelBroken, Message
from alga_runner.workers.claims import WorkerClaims
from alga_runner.workers.messages import reply_document

KEYED = IdempotencyKey(b"place", b"request", b"tenant")
REPLY = reply_document(Answer(200, b"x", outcome="ok"))


class Worker:
    """A desk, and what was said to its worker."""

    def __init__(self, ledger: ReplyCache) -> None:
        self.heard: list[Message] = []
        self.desk = WorkerClaims(ledger, self.heard.append)

    @property
    def kinds(self) -> list[str]:
        return [message["kind"] for message in self.heard]


@pytest.fixture
def workers() -> tuple[Worker, Worker]:
    ledger = ReplyCache(max_replies=10, max_bytes=10_000, ttl_s=60, clock=lambda: 0.0)
    return Worker(ledger), Worker(ledger)


def test_a_worker_that_dies_gives_its_turn_to_a_twin_on_another(workers) -> None:
    dying, other = workers
    dying.desk.claim(1, KEYED)
    other.desk.claim(1, KEYED)
    assert (dying.kinds, other.kinds) == (["carry_out"], [])

    dying.desk.close()

    assert other.kinds == ["carry_out"]


def test_what_it_said_before_it_died_counts(workers) -> None:
    dying, other = workers
    dying.desk.claim(1, KEYED)
    dying.desk.done(1, REPLY)
    dying.desk.close()

    other.desk.claim(1, KEYED)

    assert other.kinds == ["reply"]


def test_twins_on_the_worker_that_dies_get_no_turn(workers) -> None:
    dying, other = workers
    for number in (1, 2):
        dying.desk.claim(number, KEYED)
    other.desk.claim(1, KEYED)

    dying.desk.close()

    assert other.kinds == ["carry_out"]


def test_a_twin_that_dies_while_it_waits_is_told_nothing(workers) -> None:
    first, twin = workers
    first.desk.claim(1, KEYED)
    twin.desk.claim(1, KEYED)
    twin.desk.close()
    first.desk.done(1, REPLY)

    assert twin.kinds == []


def test_the_end_of_a_claim_that_is_settled_is_no_news(workers) -> None:
    first, _ = workers
    first.desk.done(7, None)
    first.desk.done(7, REPLY)

    assert first.kinds == []


def test_a_number_is_claimed_once_at_a_time(workers) -> None:
    first, _ = workers
    first.desk.claim(1, KEYED)

    with pytest.raises(ChannelBroken):
        first.desk.claim(1, KEYED)


def test_claims_are_bounded(workers, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(claims, "MAX_CLAIMS", 2)
    first, _ = workers
    first.desk.claim(1, KEYED)
    first.desk.claim(2, KEYED)

    with pytest.raises(ChannelBroken):
        first.desk.claim(3, KEYED)


@pytest.mark.parametrize(
    "reply",
    [
        "text",
        [200, b"x", b"text/plain", []],
        [200, "x", b"text/plain", [], None],
        [200, b"x", b"text/plain", [[b"name"]], None],
        [200, b"x", b"text/plain", [["name", b"value"]], None],
        [200, b"x", b"text/plain", [], 1],
    ],
    ids=repr,
)
def test_what_is_no_reply_is_not_kept(workers, reply: object) -> None:
    first, _ = workers
    first.desk.claim(1, KEYED)

    with pytest.raises(ChannelBroken):
        first.desk.done(1, reply)
