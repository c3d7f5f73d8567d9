"""Replies kept for their idempotency keys: the same rules in one process and for two workers of one supervisor."""

from __future__ import annotations

import socket
from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import replace
from hashlib import sha256

import anyio
import pytest
from anyio.abc import TaskGroup

from alga_runner.service.http import Answer
from alga_runner.service.reply_cache import (
    Claim,
    IdempotencyKey,
    KeyReused,
    LocalReplies,
    Replies,
    ReplyCache,
)
from alga_runner.settings import Settings
from alga_runner.workers.channel import Channel, Message
from alga_runner.workers.claims import WorkerClaims
from alga_runner.workers.link import Link, SharedReplies

pytestmark = pytest.mark.anyio


class Clock:
    """Seconds that pass when a test sets them."""

    now = 0.0

    def __call__(self) -> float:
        return self.now


class Pair:
    """Two that send requests: with bounds of its own, after ``keep``."""

    def __init__(self, tasks: TaskGroup, *, apart: bool) -> None:
        self._tasks = tasks
        self._apart = apart
        self.clock = Clock()
        self.one: Replies
        self.other: Replies

    def keep(self, *, max_replies: int = 100, max_bytes: int = 40_000, ttl_s: float = 60.0) -> None:
        cache = ReplyCache(max_replies=max_replies, max_bytes=max_bytes, ttl_s=ttl_s, clock=self.clock)
        if self._apart:
            self.one, self.other = self._worker(cache), self._worker(cache)
        else:
            self.one = self.other = LocalReplies(cache)

    def _worker(self, cache: ReplyCache) -> Replies:
        ours, its = socket.socketpair()
        channel = Channel(ours, max_bytes=1_000_000)
        claims = WorkerClaims(cache, channel.post)

        def receive(message: Message) -> None:
            match message:
                case {"kind": "claim", "number": int(number)}:
                    key = IdempotencyKey(message["digest"], message["fingerprint"], message["tenant"])
                    claims.claim(number, key)
                case {"kind": "release", "number": int(number)}:
                    claims.release(number, message["reply"])

        link = Link(its)
        self._tasks.start_soon(channel.run, receive)
        self._tasks.start_soon(link.run)
        return SharedReplies(link)


@pytest.fixture(params=["in one process", "of two workers"])
async def pair(request: pytest.FixtureRequest) -> AsyncIterator[Pair]:
    async with anyio.create_task_group() as tasks:
        pair = Pair(tasks, apart=request.param == "of two workers")
        pair.keep()
        yield pair
        tasks.cancel_scope.cancel()


def keyed(key: object, *, tenant: str = "acme") -> IdempotencyKey:
    return IdempotencyKey(
        sha256(repr(key).encode()).digest(), b"the request", sha256(tenant.encode()).digest()
    )


def answer(text: str = "x") -> Answer:
    return Answer(200, text.encode(), outcome="ok")


class Counted:
    """Carries out, and counts how often."""

    def __init__(self, reply: Answer | None = None) -> None:
        self.reply = reply or answer()
        self.times = 0

    async def __call__(self) -> Answer:
        self.times += 1
        return self.reply


class Gate:
    """Carries out when it may: ``begun`` before, ``open`` to go on."""

    def __init__(self, reply: Answer | None = None) -> None:
        self.reply = reply or answer("from the first")
        self.begun, self.open = anyio.Event(), anyio.Event()

    async def __call__(self) -> Answer:
        self.begun.set()
        await self.open.wait()
        return self.reply


async def never() -> Answer:
    raise AssertionError("it was carried out")


async def test_the_first_is_carried_out_and_the_next_gets_its_reply_marked(pair: Pair) -> None:
    reply = Answer(200, b"\x00\xff", b"text/plain", ((b"x-a", b"1"),), "ok")

    first = await pair.one.once(keyed(1), Counted(reply))
    again = await pair.other.once(keyed(1), never)

    assert first == reply
    assert again == reply._replace(
        headers=((b"x-a", b"1"), (b"idempotent-replayed", b"true")), outcome="replayed"
    )


async def test_another_key_has_its_own_reply(pair: Pair) -> None:
    counted = Counted()
    await pair.one.once(keyed(1), counted)
    await pair.other.once(keyed(2), counted)

    assert counted.times == 2


async def test_another_request_under_the_key_is_refused(pair: Pair) -> None:
    await pair.one.once(keyed(1), Counted())

    with pytest.raises(KeyReused):
        await pair.other.once(replace(keyed(1), fingerprint=b"another"), never)


async def test_only_replies_of_guests_are_stored(pair: Pair) -> None:
    failed = Answer(200, b"{}", outcome="execute_failed")

    assert await pair.one.once(keyed(1), Counted(failed)) == failed
    assert await pair.other.once(keyed(1), Counted()) == answer()


async def test_an_error_leaves_the_key_free(pair: Pair) -> None:
    async def fail() -> Answer:
        raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        await pair.one.once(keyed(1), fail)

    assert await pair.other.once(keyed(1), Counted()) == answer()


async def test_a_reply_expires(pair: Pair) -> None:
    counted = Counted()
    await pair.one.once(keyed(1), counted)
    await settled()
    pair.clock.now = 59.9
    await pair.other.once(keyed(1), counted)
    assert counted.times == 1

    pair.clock.now = 60.0
    await pair.other.once(keyed(1), counted)
    assert counted.times == 2


class Requests:
    """A first request that is held, and answers of those who came after it."""

    def __init__(self, pair: Pair, gate: Gate) -> None:
        self.gate = gate
        self.pair = pair
        self.answers: list[Answer] = []

    async def ask(self, replies: Replies, carry_out: Callable[[], Awaitable[Answer]] = never) -> None:
        self.answers.append(await replies.once(keyed(1), carry_out))


async def settled() -> None:
    """Return once all tasks wait."""
    for _ in range(30):  # turns of the loop: there and back through two channels takes fewer
        await anyio.lowlevel.checkpoint()


async def test_requests_wait_for_the_first_and_get_its_reply(pair: Pair) -> None:
    requests = Requests(pair, Gate())
    async with anyio.create_task_group() as tasks:
        tasks.start_soon(requests.ask, pair.one, requests.gate)
        await requests.gate.begun.wait()
        tasks.start_soon(requests.ask, pair.one)
        tasks.start_soon(requests.ask, pair.other)
        await settled()
        assert requests.answers == []
        requests.gate.open.set()

    assert [answer.body for answer in requests.answers] == [b"from the first"] * 3
    assert sorted(answer.outcome or "" for answer in requests.answers) == ["ok", "replayed", "replayed"]


async def test_waiting_requests_get_a_reply_that_is_too_large_to_store(pair: Pair) -> None:
    requests = Requests(pair, Gate(answer("x" * 20_000)))
    async with anyio.create_task_group() as tasks:
        tasks.start_soon(requests.ask, pair.one, requests.gate)
        await requests.gate.begun.wait()
        tasks.start_soon(requests.ask, pair.other)
        await settled()
        requests.gate.open.set()

    assert [len(answer.body) for answer in requests.answers] == [20_000, 20_000]


async def test_when_the_first_has_no_reply_one_waiting_request_is_next(pair: Pair) -> None:
    requests = Requests(pair, Gate(Answer(200, b"{}", outcome="execute_failed")))
    second = Counted(answer("from the second"))
    async with anyio.create_task_group() as tasks:
        tasks.start_soon(requests.ask, pair.one, requests.gate)
        await requests.gate.begun.wait()
        tasks.start_soon(requests.ask, pair.one, second)
        tasks.start_soon(requests.ask, pair.other, second)
        await settled()
        requests.gate.open.set()

    assert second.times == 1
    assert sorted(answer.body for answer in requests.answers) == [
        b"from the second",
        b"from the second",
        b"{}",
    ]


async def test_when_the_first_is_cancelled_one_waiting_request_is_next(pair: Pair) -> None:
    requests = Requests(pair, Gate())
    second = Counted(answer("from the second"))
    async with anyio.create_task_group() as tasks:
        with anyio.CancelScope() as first:
            async with anyio.create_task_group() as inner:
                inner.start_soon(requests.ask, pair.one, requests.gate)
                await requests.gate.begun.wait()
                tasks.start_soon(requests.ask, pair.other, second)
                await settled()
                first.cancel()

    assert [answer.body for answer in requests.answers] == [b"from the second"]


async def test_a_request_that_stops_waiting_takes_nothing_from_the_others(pair: Pair) -> None:
    requests = Requests(pair, Gate())
    async with anyio.create_task_group() as tasks:
        tasks.start_soon(requests.ask, pair.one, requests.gate)
        await requests.gate.begun.wait()
        with anyio.CancelScope() as impatient:
            async with anyio.create_task_group() as inner:
                inner.start_soon(requests.ask, pair.other)
                await settled()
                impatient.cancel()
        tasks.start_soon(requests.ask, pair.other)
        await settled()
        requests.gate.open.set()

    assert [answer.body for answer in requests.answers] == [b"from the first"] * 2


async def test_another_request_under_the_key_does_not_wait(pair: Pair) -> None:
    requests = Requests(pair, Gate())
    async with anyio.create_task_group() as tasks:
        tasks.start_soon(requests.ask, pair.one, requests.gate)
        await requests.gate.begun.wait()
        with pytest.raises(KeyReused):
            await pair.other.once(replace(keyed(1), fingerprint=b"another"), never)
        requests.gate.open.set()


async def are_stored(pair: Pair, keys: list[IdempotencyKey]) -> list[bool]:
    """Whether each has a stored reply, asked without storing more."""
    stored = []
    for key in keys:
        counted = Counted(Answer(200, b"{}", outcome="not stored"))
        await pair.other.once(key, counted)
        stored.append(not counted.times)
    return stored


async def store(pair: Pair, keys: list[IdempotencyKey], size: int = 1) -> list[IdempotencyKey]:
    for key in keys:
        await pair.one.once(key, Counted(answer("x" * size)))
        await settled()
    return keys


def keys_of(tenant: str, count: int) -> list[IdempotencyKey]:
    return [keyed((tenant, number), tenant=tenant) for number in range(count)]


async def test_a_tenant_at_its_share_of_the_replies_evicts_its_own_oldest(pair: Pair) -> None:
    pair.keep(max_replies=8)
    quiet = await store(pair, keys_of("globex", 2))

    loud = await store(pair, keys_of("acme", 10))

    assert await are_stored(pair, quiet) == [True] * 2
    assert await are_stored(pair, loud) == [False] * 8 + [True] * 2


async def test_a_tenant_at_its_share_of_the_bytes_evicts_its_own_oldest(pair: Pair) -> None:
    pair.keep(max_bytes=20_000)
    quiet = await store(pair, keys_of("globex", 3))

    loud = await store(pair, keys_of("acme", 4), 1_800)

    assert await are_stored(pair, quiet) == [True] * 3
    assert await are_stored(pair, loud) == [False, False, True, True]


async def test_a_full_cache_evicts_from_a_tenant_with_an_equal_part_and_from_no_smaller_one(
    pair: Pair,
) -> None:
    pair.keep(max_replies=8)
    small = await store(pair, keys_of("small", 1))
    large = [key for name in "abc" for key in await store(pair, keys_of(name, 2))]

    newcomers = [*await store(pair, keys_of("d", 1)), *await store(pair, keys_of("e", 1))]

    assert await are_stored(pair, small) == [True]
    assert await are_stored(pair, newcomers) == [True, True]
    assert sum(await are_stored(pair, large)) == 5


async def test_full_bytes_evict_from_a_tenant_with_an_equal_part_and_from_no_smaller_one(pair: Pair) -> None:
    pair.keep(max_bytes=10_000)
    small = await store(pair, keys_of("small", 1))
    large = [key for name in "abcd" for key in await store(pair, keys_of(name, 1), 1_900)]

    assert await are_stored(pair, small) == [True]
    assert sum(await are_stored(pair, large)) == 3


async def test_a_reply_larger_than_a_tenant_s_share_evicts_none(pair: Pair) -> None:
    pair.keep(max_bytes=8_000)

    keys = [*await store(pair, [keyed(1)]), *await store(pair, [keyed(2)], 2_000)]

    assert await are_stored(pair, keys) == [True, False]


async def test_a_cache_of_no_replies_stores_none(pair: Pair) -> None:
    pair.keep(max_replies=0)

    assert await are_stored(pair, await store(pair, [keyed(1)])) == [False]


async def test_the_share_of_expired_replies_can_be_used_again(pair: Pair) -> None:
    pair.keep(max_bytes=8_000, ttl_s=1)
    for key in range(5):
        await store(pair, [keyed(key)], 1_000)
        pair.clock.now += 1.0

    assert await are_stored(pair, await store(pair, [keyed(9)], 1_000)) == [True]


def test_a_reply_of_the_largest_size_fits_into_a_tenant_s_share() -> None:
    cache = ReplyCache.of(Settings(max_body_bytes=3_000_000, idempotency_max_bytes=8_000_000))

    claim = cache.claim(keyed(1), lambda _reply: None)
    assert isinstance(claim, Claim)
    cache.release(claim, answer("x" * 4_000_000))

    assert isinstance(cache.claim(keyed(1), lambda _reply: None), Answer)
