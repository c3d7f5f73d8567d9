"""Messages between two processes arrive whole, in order and bounded, or the channel is closed."""

from __future__ import annotations

import socket

import anyio
import msgpack
import pytest

from alga_runner.workers.channel import MAX_WAITING, Channel, ChannelBroken, ChannelClosed, Message

pytestmark = pytest.mark.anyio


def framed(value: object) -> bytes:
    packed = msgpack.packb(value)
    return len(packed).to_bytes(4, "big") + packed


async def pair(max_bytes: int = 1000) -> tuple[Channel, Channel]:
    one, other = socket.socketpair()
    return await Channel.over(one, max_bytes=max_bytes), await Channel.over(other, max_bytes=max_bytes)


async def test_messages_arrive_in_their_order() -> None:
    here, there = await pair()
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


async def test_what_was_delivered_arrives_though_its_sender_is_gone() -> None:
    here, there = await pair(max_bytes=100_000)
    async with anyio.create_task_group() as tasks:
        tasks.start_soon(here.run, lambda _message: None)
        await here.deliver({"kind": "last", "text": "x" * 50_000})
        tasks.cancel_scope.cancel()
    received: list[Message] = []

    await there.run(received.append)

    assert [len(message["text"]) for message in received] == [50_000]


async def test_a_delivery_that_is_given_up_is_made() -> None:
    here, there = await pair()
    received: list[Message] = []
    async with anyio.create_task_group() as tasks:
        tasks.start_soon(here.run, lambda _message: None)
        with anyio.CancelScope() as given_up:
            given_up.cancel()
            await here.deliver({"kind": "last"})
        tasks.start_soon(there.run, received.append)
        while not received:
            await anyio.lowlevel.checkpoint()
        tasks.cancel_scope.cancel()

    assert given_up.cancelled_caught


async def test_the_end_of_the_other_process_ends_the_channel() -> None:
    here, there = await pair()
    async with anyio.create_task_group() as tasks:
        tasks.start_soon(there.run, lambda _message: None)
        await anyio.wait_all_tasks_blocked()
        tasks.cancel_scope.cancel()

    await here.run(lambda _message: None)

    with pytest.raises(ChannelClosed):
        here.post({"kind": "late"})
    with pytest.raises(ChannelClosed):
        await here.deliver({"kind": "late"})


async def test_a_delivery_that_nobody_takes_ends_with_the_other_process() -> None:
    here, there = await pair()
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
        await there._stream.aclose()

    assert undelivered == [True]


async def test_a_message_that_stops_in_the_middle_is_no_message(joined) -> None:
    received: list[Message] = []
    async with joined(received.append) as (_channel, other):
        other.sendall(framed({"kind": "whole"}) + framed({"kind": "half"})[:-1])
        other.shutdown(socket.SHUT_WR)
        await anyio.wait_all_tasks_blocked()

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
async def test_what_cannot_be_understood_breaks_the_channel(sent: bytes) -> None:
    ours, theirs = socket.socketpair()
    channel = await Channel.over(ours, max_bytes=1000)
    with theirs:
        theirs.sendall(sent)

        with pytest.raises(ChannelBroken):
            await channel.run(lambda _message: None)

    with pytest.raises(ChannelClosed):
        channel.post({"kind": "late"})


async def test_one_that_does_not_read_is_taken_for_gone() -> None:
    here, there = await pair()
    try:
        for _ in range(MAX_WAITING):
            here.post({"kind": "more"})

        with pytest.raises(ChannelClosed):
            here.post({"kind": "more"})
    finally:
        await here._stream.aclose()
        await there._stream.aclose()
