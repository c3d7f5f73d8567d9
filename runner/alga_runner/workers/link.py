"""A worker's end of the channel: the orders that come, and the questions that it asks the supervisor."""

from __future__ import annotations

import asyncio
import socket
from collections import deque
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from itertools import count

import anyio

from ..service.peers import Workers
from ..telemetry import Telemetry
from .channel import Channel, ChannelClosed, Message
from .resources import resident_bytes

ANY_SIZE = 2**32 - 1
"""The supervisor is trusted."""


class Question:
    """Something asked, under a number of its own, and the answers to it."""

    def __init__(self, number: int, channel: Channel) -> None:
        self.number = number
        self._channel = channel
        self._answers: deque[Message] = deque()
        self._more: asyncio.Future[None] | None = None

    def ask(self, message: Message) -> None:
        """Send it. Raises ``ChannelClosed``."""
        self._channel.post({**message, "number": self.number})

    async def answer(self) -> Message:
        """The next answer. There is none when the supervisor is gone."""
        while not self._answers:
            self._more = asyncio.get_running_loop().create_future()
            await self._more
        return self._answers.popleft()

    async def conclude(self, message: Message) -> None:
        """Send the last word, and return when it is sure to arrive. Cancelled, it is still sent."""
        with suppress(ChannelClosed):  # nobody is there to hear it
            await self._channel.deliver({**message, "number": self.number})

    def take(self, message: Message) -> None:
        """An answer came."""
        self._answers.append(message)
        if self._more is not None and not self._more.done():
            self._more.set_result(None)


class Link:
    """The channel to the supervisor. Orders are events: ``retire``, ``drain``, ``stop``."""

    def __init__(self, connection: socket.socket) -> None:
        self._channel = Channel(connection, max_bytes=ANY_SIZE)
        self._numbers = count(1)
        self._questions: dict[int, Question] = {}
        self._telemetry: Telemetry | None = None
        self._asked = 0
        self.workers: Workers | None = None
        """How many answer, once that is known."""
        self.start: Message = {}
        """What this worker is to be, once ``started``."""
        self.started = anyio.Event()
        self.retire = anyio.Event()
        self.drain = anyio.Event()
        self.stop = anyio.Event()

    async def run(self) -> None:
        """Carry messages until the supervisor is gone, which is an order to stop."""
        try:
            await self._channel.run(self._receive)
        finally:
            self.stop.set()
            self.started.set()

    async def tell(self, kind: str, **members: object) -> None:
        """Tell the supervisor, and return when it is sure to arrive. Without effect when it is gone."""
        with suppress(ChannelClosed):  # the order to stop comes at the same time
            await self._channel.deliver({"kind": kind, **members})

    def report(self, telemetry: Telemetry) -> None:
        """From now on the supervisor is told what ``telemetry`` counted, whenever it asks."""
        self._telemetry = telemetry

    async def tell_counts(self) -> int:
        """Tell what was counted; the resident memory in bytes that was told with it."""
        counted = self._counted()
        await self.tell(**counted)
        return int(counted["resident"])

    @contextmanager
    def question(self) -> Iterator[Question]:
        """A question that can be asked, and answered while this lasts."""
        question = Question(next(self._numbers), self._channel)
        self._questions[question.number] = question
        try:
            yield question
        finally:
            del self._questions[question.number]

    def _receive(self, message: Message) -> None:
        match message:
            case {"number": int(number)}:
                if number in self._questions:
                    self._questions[number].take(message)
            case {"kind": "measure", "ask": int(ask)}:
                self._asked = ask
                self._channel.post(self._counted())
            case {"kind": "fleet", "ready": int(ready), "of": int(of)}:
                self.workers = Workers(ready, of)
            case {"kind": "start"}:
                self.start = message
                self.started.set()
            case {"kind": "retire"}:
                self.retire.set()
            case {"kind": "drain"}:
                self.drain.set()
            case {"kind": "stop"}:
                self.stop.set()

    def _counted(self) -> Message:
        return {
            "kind": "counted",
            "ask": self._asked,
            "snapshot": self._telemetry.snapshot() if self._telemetry is not None else {},
            "resident": resident_bytes(),
        }
