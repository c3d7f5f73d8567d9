"""The supervisor's side of idempotent replies: claims of workers, and what happens to them when a worker dies."""

from __future__ import annotations

import pytest

from alga_runner.service.http import Answer
from alga_runner.service.reply_cache import IdempotencyKey, ReplyCache
from alga_runner.workers import claims
from alga_runner.workers.channel import ChannelBroken, Message
from alga_runner.workers.claims import WorkerClaims
from alga_runner.workers.messages import reply_document

KEY = IdempotencyKey(b"digest", b"request", b"tenant")
REPLY = reply_document(Answer(200, b"x", outcome="ok"))


class Worker:
    """A worker's claims, and the messages that were posted to it."""

    def __init__(self, cache: ReplyCache) -> None:
        self.heard: list[Message] = []
        self.claims = WorkerClaims(cache, self.heard.append)

    @property
    def kinds(self) -> list[str]:
        return [message["kind"] for message in self.heard]


@pytest.fixture
def workers() -> tuple[Worker, Worker]:
    cache = ReplyCache(max_replies=10, max_bytes=10_000, ttl_s=60, clock=lambda: 0.0)
    return Worker(cache), Worker(cache)


def test_a_worker_that_dies_gives_its_claim_to_a_request_that_waits_on_another(workers) -> None:
    dying, other = workers
    dying.claims.claim(1, KEY)
    other.claims.claim(1, KEY)
    assert (dying.kinds, other.kinds) == (["claim_granted"], [])

    dying.claims.close()

    assert other.kinds == ["claim_granted"]


def test_a_reply_sent_before_the_worker_died_counts(workers) -> None:
    dying, other = workers
    dying.claims.claim(1, KEY)
    dying.claims.release(1, REPLY)
    dying.claims.close()

    other.claims.claim(1, KEY)

    assert other.kinds == ["reply"]


def test_requests_on_the_worker_that_dies_get_no_turn(workers) -> None:
    dying, other = workers
    for number in (1, 2):
        dying.claims.claim(number, KEY)
    other.claims.claim(1, KEY)

    dying.claims.close()

    assert other.kinds == ["claim_granted"]


def test_a_request_that_dies_while_it_waits_gets_no_message(workers) -> None:
    first, waiting = workers
    first.claims.claim(1, KEY)
    waiting.claims.claim(1, KEY)
    waiting.claims.close()
    first.claims.release(1, REPLY)

    assert waiting.kinds == []


def test_releasing_a_settled_claim_does_nothing(workers) -> None:
    first, _ = workers
    first.claims.release(7, None)
    first.claims.release(7, REPLY)

    assert first.kinds == []


def test_a_number_is_claimed_once_at_a_time(workers) -> None:
    first, _ = workers
    first.claims.claim(1, KEY)

    with pytest.raises(ChannelBroken):
        first.claims.claim(1, KEY)


def test_claims_are_bounded(workers, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(claims, "MAX_CLAIMS", 2)
    first, _ = workers
    first.claims.claim(1, KEY)
    first.claims.claim(2, KEY)

    with pytest.raises(ChannelBroken):
        first.claims.claim(3, KEY)


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
def test_an_invalid_reply_is_not_stored(workers, reply: object) -> None:
    first, _ = workers
    first.claims.claim(1, KEY)

    with pytest.raises(ChannelBroken):
        first.claims.release(1, reply)
