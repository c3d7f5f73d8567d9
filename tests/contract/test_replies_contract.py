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
from alga_runner.service.idempotency import IdempotencyKey, KeyReused, Replies
from alga_runner.service.reply_cache import KeptReplies, ReplyCache
from alga_runner.workers.channel import Channel, Message
from alga_runner.workers.claims import WorkerClaims
from alga_runner.workers.link import Link
from alga_runner.workers.peers import SharedReplies

pytestmark = pytest.mark.anyio


class Clock:
    """Seconds that pass when a test says so."""

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

    def keep(self, *, max_replies: int = 100, max_bytes: int = 10_000, ttl_s: float = 60.0) -> None:
        ledger = ReplyCache(max_replies=max_replies, max_bytes=max_bytes, ttl_s=ttl_s, clock=self.clock)
        if self._apart:
            self.one, self.other = self._worker(ledger), self._worker(ledger)
        else:
            self.one = self.other = KeptReplies(ledger)

    def _worker(self, ledger: ReplyCache) -> Replies:
        ours, its = socket.socketpair()
        channel = Channel(ours, max_bytes=1_000_000)
        desk = WorkerClaims(ledger, channel.post)

        def receive(message: Message) -> None:
            match message:
                case {"kind": "claim", "number": int(number)}:
                    keyed = IdempotencyKey(message["place"], message["fingerprint"], message["tenant"])
                    desk.claim(number, keyed)
                case {"kind": "done", "number": int(number)}:
                    desk.done(number, message["reply"])

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


# ---- Once


async def test_the_first_is_carried_out_and_the_next_gets_its_reply_marked(pair: Pair) -> None:
    reply = Answer(200, b"\x00\xff", b"text/plain", ((b"x-a", b"1"),), "ok")

    first = await pair.one.once(keyed(1), Counted(reply))
    again = await pair.other.once(keyed(1), never)

    assert first == reply
    assert again == replace(
        reply, headers=((b"x-a", b"1"), (b"idempotent-replayed", b"true")), outcome="replayed"
    )


async def test_another_key_has_another_place(pair: Pair) -> None:
    counted = Counted()
    await pair.one.once(keyed(1), counted)
    await pair.other.once(keyed(2), counted)

    assert counted.times == 2


async def test_another_request_under_the_key_is_refused(pair: Pair) -> None:
    await pair.one.once(keyed(1), Counted())

    with pytest.raises(KeyReused):
        await pair.other.once(replace(keyed(1), fingerprint=b"another"), never)


async def test_what_was_no_reply_of_a_guest_is_not_kept(pair: Pair) -> None:
    failed = Answer(200, b"{}", outcome="execute_failed")

    assert await pair.one.once(keyed(1), Counted(failed)) == failed
    assert await pair.other.once(keyed(1), Counted()) == answer()


async def test_an_error_leaves_the_key_free(pair: Pair) -> None:
    async def fail() -> Answer:
        raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        await pair.one.once(keyed(1), fail)

    assert await pair.other.once(keyed(1), Counted()) == answer()


async def test_a_reply_is_forgotten_after_its_time(pair: Pair) -> None:
    counted = Counted()
    await pair.one.once(keyed(1), counted)
    await settled()
    pair.clock.now = 59.9
    await pair.other.once(keyed(1), counted)
    assert counted.times == 1

    pair.clock.now = 60.0
    await pair.other.once(keyed(1), counted)
    assert counted.times == 2


# ---- Twins


class Twins:
    """A first request that is held, and answers of those who came after it."""

    def __init__(self, pair: Pair, gate: Gate) -> None:
        self.gate = gate
        self.pair = pair
        self.answers: list[Answer] = []

    async def ask(self, replies: Replies, carry_out: Callable[[], Awaitable[Answer]] = never) -> None:
        self.answers.append(await replies.once(keyed(1), carry_out))


async def settled() -> None:
    """Return once nobody has anything to do but wait."""
    for _ in range(30):  # turns of the loop: there and back through two channels takes fewer
        await anyio.lowlevel.checkpoint()


async def test_twins_wait_for_the_first_and_get_its_reply(pair: Pair) -> None:
    twins = Twins(pair, Gate())
    async with anyio.create_task_group() as tasks:
        tasks.start_soon(twins.ask, pair.one, twins.gate)
        await twins.gate.begun.wait()
        tasks.start_soon(twins.ask, pair.one)
        tasks.start_soon(twins.ask, pair.other)
        await settled()
        assert twins.answers == []
        twins.gate.open.set()

    assert [each.body for each in twins.answers] == [b"from the first"] * 3
    assert sorted(each.outcome or "" for each in twins.answers) == ["ok", "replayed", "replayed"]


async def test_twins_get_a_reply_that_is_too_large_to_be_kept(pair: Pair) -> None:
    twins = Twins(pair, Gate(answer("x" * 20_000)))
    async with anyio.create_task_group() as tasks:
        tasks.start_soon(twins.ask, pair.one, twins.gate)
        await twins.gate.begun.wait()
        tasks.start_soon(twins.ask, pair.other)
        await settled()
        twins.gate.open.set()

    assert [len(each.body) for each in twins.answers] == [20_000, 20_000]


async def test_when_the_first_has_no_reply_one_twin_is_next(pair: Pair) -> None:
    twins = Twins(pair, Gate(Answer(200, b"{}", outcome="execute_failed")))
    second = Counted(answer("from the second"))
    async with anyio.create_task_group() as tasks:
        tasks.start_soon(twins.ask, pair.one, twins.gate)
        await twins.gate.begun.wait()
        tasks.start_soon(twins.ask, pair.one, second)
        tasks.start_soon(twins.ask, pair.other, second)
        await settled()
        twins.gate.open.set()

    assert second.times == 1
    assert sorted(each.body for each in twins.answers) == [b"from the second", b"from the second", b"{}"]


async def test_when_the_first_is_given_up_one_twin_is_next(pair: Pair) -> None:
    twins = Twins(pair, Gate())
    second = Counted(answer("from the second"))
    async with anyio.create_task_group() as tasks:
        with anyio.CancelScope() as first:
            async with anyio.create_task_group() as inner:
                inner.start_soon(twins.ask, pair.one, twins.gate)
                await twins.gate.begun.wait()
                tasks.start_soon(twins.ask, pair.other, second)
                await settled()
                first.cancel()

    assert [each.body for each in twins.answers] == [b"from the second"]


async def test_a_twin_that_stops_waiting_takes_nothing_from_the_others(pair: Pair) -> None:
    twins = Twins(pair, Gate())
    async with anyio.create_task_group() as tasks:
        tasks.start_soon(twins.ask, pair.one, twins.gate)
        await twins.gate.begun.wait()
        with anyio.CancelScope() as impatient:
            async with anyio.create_task_group() as inner:
                inner.start_soon(twins.ask, pair.other)
                await settled()
                impatient.cancel()
        tasks.start_soon(twins.ask, pair.other)
        await settled()
        twins.gate.open.set()

    assert [each.body for each in twins.answers] == [b"from the first"] * 2


async def test_another_request_under_the_key_does_not_wait(pair: Pair) -> None:
    twins = Twins(pair, Gate())
    async with anyio.create_task_group() as tasks:
        tasks.start_soon(twins.ask, pair.one, twins.gate)
        await twins.gate.begun.wait()
        with pytest.raises(KeyReused):
            await pair.other.once(replace(keyed(1), fingerprint=b"another"), never)
        twins.gate.open.set()


# ---- Bounds


async def kept_of(pair: Pair, keys: list[IdempotencyKey]) -> list[bool]:
    """Which are kept, found out without keeping more."""
    found = []
    for each in keys:
        counted = Counted(Answer(200, b"{}", outcome="not kept"))
        await pair.other.once(each, counted)
        found.append(not counted.times)
    return found


async def keep(pair: Pair, keys: list[IdempotencyKey], size: int = 1) -> list[IdempotencyKey]:
    for each in keys:
        await pair.one.once(each, Counted(answer("x" * size)))
        await settled()
    return keys


async def test_of_too_many_replies_the_oldest_goes(pair: Pair) -> None:
    pair.keep(max_replies=2)

    keys = await keep(pair, [keyed(1), keyed(2), keyed(3)])

    assert await kept_of(pair, keys) == [False, True, True]


async def test_of_too_many_bytes_the_oldest_goes(pair: Pair) -> None:
    pair.keep(max_bytes=5_000)

    keys = await keep(pair, [keyed(1), keyed(2), keyed(3)], 1_800)

    assert await kept_of(pair, keys) == [False, True, True]


async def test_a_reply_larger_than_all_the_room_pushes_nobody_out(pair: Pair) -> None:
    pair.keep(max_bytes=2_000)

    keys = [*await keep(pair, [keyed(1)]), *await keep(pair, [keyed(2)], 2_000)]

    assert await kept_of(pair, keys) == [True, False]


async def test_room_for_none_keeps_none(pair: Pair) -> None:
    pair.keep(max_replies=0)

    assert await kept_of(pair, await keep(pair, [keyed(1)])) == [False]


async def test_room_that_was_given_back_can_be_used_again(pair: Pair) -> None:
    pair.keep(max_bytes=2_000, ttl_s=1)
    for key in range(5):
        await keep(pair, [keyed(key)], 1_000)
        pair.clock.now += 1.0

    assert await kept_of(pair, await keep(pair, [keyed(9)], 1_000)) == [True]


async def test_a_tenant_with_many_replies_pushes_out_its_own(pair: Pair) -> None:
    pair.keep(max_replies=4)
    quiet = await keep(pair, [keyed("quiet", tenant="globex")])

    loud = await keep(pair, [keyed(key) for key in range(10)])

    assert await kept_of(pair, quiet) == [True]
    assert await kept_of(pair, loud) == [False] * 7 + [True] * 3


async def test_a_tenant_with_large_replies_pushes_out_its_own(pair: Pair) -> None:
    pair.keep(max_bytes=10_000)
    quiet = await keep(pair, [keyed(("quiet", key), tenant="globex") for key in range(3)])

    loud = await keep(pair, [keyed(key) for key in range(4)], 3_000)

    assert await kept_of(pair, quiet) == [True] * 3
    assert await kept_of(pair, loud) == [False, False, True, True]


async def test_a_newcomer_takes_room_from_the_one_that_has_most(pair: Pair) -> None:
    pair.keep(max_replies=4)
    loud = await keep(pair, [keyed(key) for key in range(4)])

    newcomer = await keep(pair, [keyed(("new", key), tenant="globex") for key in range(2)])

    assert await kept_of(pair, newcomer) == [True, True]
    assert await kept_of(pair, loud) == [False, False, True, True]
