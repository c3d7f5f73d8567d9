"""The supervisor's side of idempotent replies: what a worker may say, and what becomes of it when it dies."""

from __future__ import annotations

from collections.abc import AsyncIterator

import anyio
import pytest

from alga_runner.service.http import Answer
from alga_runner.service.idempotency import Keyed
from alga_runner.service.kept_replies import KeptReplies
from alga_runner.workers import keeper
from alga_runner.workers.channel import ChannelBroken, Message
from alga_runner.workers.keeper import Desk
from alga_runner.workers.messages import reply_document

pytestmark = pytest.mark.anyio

KEYED = Keyed(b"place", b"request", b"tenant")
REPLY = reply_document(Answer(200, b"x", outcome="ok"))


class Worker:
    """A desk, and what was said to its worker."""

    def __init__(self, replies: KeptReplies, tasks) -> None:
        self.heard: list[Message] = []
        self.desk = Desk(replies, tasks, self.heard.append)

    @property
    def kinds(self) -> list[str]:
        return [message["kind"] for message in self.heard]


@pytest.fixture
async def workers() -> AsyncIterator[tuple[Worker, Worker]]:
    replies = KeptReplies(max_replies=10, max_bytes=10_000, ttl_s=60, clock=lambda: 0.0)
    async with anyio.create_task_group() as tasks:
        yield Worker(replies, tasks), Worker(replies, tasks)
        tasks.cancel_scope.cancel()


async def test_a_worker_that_dies_gives_its_turn_to_a_twin_on_another(workers) -> None:
    dying, other = workers
    dying.desk.claim(1, KEYED)
    other.desk.claim(1, KEYED)
    await anyio.wait_all_tasks_blocked()
    assert (dying.kinds, other.kinds) == (["carry_out"], [])

    dying.desk.close()
    await anyio.wait_all_tasks_blocked()

    assert other.kinds == ["carry_out"]


async def test_what_it_said_before_it_died_counts(workers) -> None:
    dying, other = workers
    dying.desk.claim(1, KEYED)
    await anyio.wait_all_tasks_blocked()
    dying.desk.done(1, REPLY)
    dying.desk.close()

    other.desk.claim(1, KEYED)
    await anyio.wait_all_tasks_blocked()

    assert other.kinds == ["reply"]


async def test_a_twin_that_dies_while_it_waits_is_told_nothing(workers) -> None:
    first, twin = workers
    first.desk.claim(1, KEYED)
    twin.desk.claim(1, KEYED)
    await anyio.wait_all_tasks_blocked()
    twin.desk.close()
    first.desk.done(1, REPLY)
    await anyio.wait_all_tasks_blocked()

    assert twin.kinds == []


async def test_the_end_of_a_claim_that_is_settled_is_no_news(workers) -> None:
    first, _ = workers
    first.desk.done(7, None)
    first.desk.done(7, REPLY)

    assert first.kinds == []


async def test_a_number_is_claimed_once_at_a_time(workers) -> None:
    first, _ = workers
    first.desk.claim(1, KEYED)

    with pytest.raises(ChannelBroken):
        first.desk.claim(1, KEYED)


async def test_claims_are_bounded(workers, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(keeper, "MAX_CLAIMS", 2)
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
async def test_what_is_no_reply_is_not_kept(workers, reply: object) -> None:
    first, _ = workers
    first.desk.claim(1, KEYED)
    await anyio.wait_all_tasks_blocked()

    with pytest.raises(ChannelBroken):
        first.desk.done(1, reply)
