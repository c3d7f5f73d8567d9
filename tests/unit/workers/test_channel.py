"""Messages between two processes arrive whole, in order and bounded, or the channel is closed."""

from __future__ import annotations

import socket

import anyio
import msgpack
import pytest

from alga_runner.workers.channel import Channel, ChannelBroken, ChannelClosed, Message

pytestmark = pytest.mark.anyio


def framed(value: object) -> bytes:
    packed = msgpack.packb(value)
    return len(packed).to_bytes(4, "big") + packed


def pair(max_bytes: int = 1000) -> tuple[Channel, Channel]:
    one, other = socket.socketpair()
    return Channel(one, max_bytes=max_bytes), Channel(other, max_bytes=max_bytes)


async def test_messages_arrive_in_their_order() -> None:
    here, there = pair()
    received: list[Message] = []
    async with anyio.create_task_group() as tasks:
        tasks.start_soon(here.run, lambda _message: None)
        tasks.start_soon(there.run, received.append)
        for number in range(100):
            here.post({"kind": "count", "number": number, "bytes": b"\0\xff"})
        while len(received) < 100:
            await anyio.lowlevel.checkpoint()
        tasks.cancel_scope.cancel()

    assert [message["number"] for message in received] == list(range(100))
    assert received[0]["bytes"] == b"\0\xff"


async def test_a_delivered_message_arrives_although_its_sender_ended() -> None:
    here, there = pair(max_bytes=100_000)
    async with anyio.create_task_group() as tasks:
        tasks.start_soon(here.run, lambda _message: None)
        await here.deliver({"kind": "last", "text": "x" * 50_000})
        tasks.cancel_scope.cancel()
    received: list[Message] = []

    await there.run(received.append)

    assert [len(message["text"]) for message in received] == [50_000]


async def test_a_cancelled_delivery_is_sent() -> None:
    here, there = pair(max_bytes=6_000_000)
    received: list[Message] = []
    with anyio.CancelScope() as given_up:
        given_up.cancel()
        await here.deliver({"kind": "large", "bytes": bytes(5_000_000)})
    async with anyio.create_task_group() as tasks:
        tasks.start_soon(there.run, received.append)
        while not received:
            await anyio.lowlevel.checkpoint()
        tasks.cancel_scope.cancel()
    here.close()

    assert given_up.cancelled_caught
    assert received[0]["kind"] == "large"


async def test_the_end_of_the_other_process_ends_the_channel() -> None:
    here, there = pair()
    async with anyio.create_task_group() as tasks:
        tasks.start_soon(there.run, lambda _message: None)
        await anyio.wait_all_tasks_blocked()
        tasks.cancel_scope.cancel()

    await here.run(lambda _message: None)

    with pytest.raises(ChannelClosed):
        here.post({"kind": "late"})
    with pytest.raises(ChannelClosed):
        await here.deliver({"kind": "late"})


async def test_an_unread_delivery_ends_with_the_other_process() -> None:
    here, there = pair()
    undelivered: list[bool] = []

    async def deliver() -> None:
        try:
            await here.deliver({"kind": "large", "bytes": bytes(10_000_000)})
        except ChannelClosed:
            undelivered.append(True)

    async with anyio.create_task_group() as tasks:
        tasks.start_soon(here.run, lambda _message: None)
        tasks.start_soon(deliver)
        await anyio.wait_all_tasks_blocked()
        there.close()

    assert undelivered == [True]


async def test_the_last_messages_of_a_process_arrive_although_it_was_being_written_to() -> None:
    here, there = pair()
    received: list[Message] = []
    await there.deliver({"kind": "last"})
    there.close()
    here.post({"kind": "too late"})

    await here.run(received.append)

    assert received == [{"kind": "last"}]


async def test_large_messages_and_small_ones_keep_their_order() -> None:
    here, there = pair(max_bytes=5_000_000)
    received: list[int] = []
    async with anyio.create_task_group() as tasks:
        tasks.start_soon(here.run, lambda _message: None)
        for number in range(20):
            here.post({"number": number, "bytes": bytes(1_000_000 if number % 5 == 0 else 10)})
        tasks.start_soon(there.run, lambda message: received.append(message["number"]))
        while len(received) < 20:
            await anyio.lowlevel.checkpoint()
        tasks.cancel_scope.cancel()

    assert received == list(range(20))


async def test_an_error_while_a_message_is_handled_ends_the_channel() -> None:
    here, there = pair()
    there.post({"kind": "any"})

    with pytest.raises(ZeroDivisionError):
        await here.run(lambda _message: 1 / 0)

    there.close()


async def test_an_incomplete_message_is_dropped() -> None:
    ours, theirs = socket.socketpair()
    channel = Channel(ours, max_bytes=1000)
    received: list[Message] = []
    with theirs:
        theirs.sendall(framed({"kind": "whole"}) + framed({"kind": "half"})[:-1])

    await channel.run(received.append)

    assert received == [{"kind": "whole"}]


@pytest.mark.parametrize(
    "sent",
    [
        pytest.param((1001).to_bytes(4, "big"), id="too large"),
        pytest.param(framed([1, 2]), id="no map"),
        pytest.param((3).to_bytes(4, "big") + b"\x93\x01\x02", id="no MessagePack"),
        pytest.param((2).to_bytes(4, "big") + b"\x01\x02", id="more than one value"),
        pytest.param((500).to_bytes(4, "big") + b"\x91" * 499 + b"\xc0", id="too deep"),
    ],
)
async def test_an_invalid_message_breaks_the_channel(sent: bytes) -> None:
    ours, theirs = socket.socketpair()
    channel = Channel(ours, max_bytes=1000)
    with theirs:
        theirs.sendall(sent)

        with pytest.raises(ChannelBroken):
            await channel.run(lambda _message: None)

    with pytest.raises(ChannelClosed):
        channel.post({"kind": "late"})


async def test_a_process_that_does_not_read_counts_as_ended() -> None:
    here, there = pair()

    def post_for_ever() -> None:
        while True:
            here.post({"kind": "more", "bytes": bytes(100)})

    with pytest.raises(ChannelClosed):
        post_for_ever()

    here.close()
    there.close()
