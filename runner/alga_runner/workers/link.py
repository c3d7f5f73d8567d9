"""A worker's end of the channel: the supervisor's orders, and what the worker asks the supervisor for."""

from __future__ import annotations

import asyncio
import socket
from collections import deque
from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager, suppress
from itertools import count

import anyio

from ..service.health import Peers, ReadyWorkers
from ..service.http import Answer, Refused
from ..service.reply_cache import IdempotencyKey, KeyReused, Replies
from ..telemetry import Telemetry
from ..telemetry.exposition import render
from ..telemetry.metrics import FAMILIES
from .channel import Channel, ChannelClosed, Message
from .messages import reply_document, reply_of, snapshot_of
from .resources import resident_bytes
from .totals import WORKER_FAMILIES

ANY_SIZE = 2**32 - 1
"""The supervisor is trusted."""

METRICS_TIMEOUT_S = 5.0
"""How long the supervisor may take to sum the workers' metrics; it waits for workers that hang, but not so long."""

_FAMILIES = (*FAMILIES, *WORKER_FAMILIES)


class Question:
    """A question to the supervisor, and the answers to it, which repeat its ``number``."""

    def __init__(self, number: int, channel: Channel) -> None:
        self.number = number
        self._channel = channel
        self._answers: deque[Message] = deque()
        self._arrived: asyncio.Future[None] | None = None

    def ask(self, message: Message) -> None:
        """Send ``message``. Raises ``ChannelClosed``."""
        self._channel.post({**message, "number": self.number})

    async def answer(self) -> Message:
        """The next answer. Waits forever when the supervisor ended."""
        while not self._answers:
            self._arrived = asyncio.get_running_loop().create_future()
            await self._arrived
        return self._answers.popleft()

    async def conclude(self, message: Message) -> None:
        """Send the last ``message``, and return when the kernel has it. When cancelled, it is still sent."""
        with suppress(ChannelClosed):  # the supervisor ended
            await self._channel.deliver({**message, "number": self.number})

    def receive(self, message: Message) -> None:
        """Add an answer."""
        self._answers.append(message)
        if self._arrived is not None and not self._arrived.done():
            self._arrived.set_result(None)


class Link:
    """The channel to the supervisor. Orders are events: ``retire``, ``drain``, ``stop``."""

    def __init__(self, connection: socket.socket) -> None:
        self._channel = Channel(connection, max_bytes=ANY_SIZE)
        self._numbers = count(1)
        self._questions: dict[int, Question] = {}
        self._telemetry: Telemetry | None = None
        self._round = 0
        self.workers: ReadyWorkers | None = None
        """How many workers answer, once that is known."""
        self.start: Message = {}
        """The first message, once ``started``."""
        self.started = anyio.Event()
        self.retire = anyio.Event()
        self.drain = anyio.Event()
        self.stop = anyio.Event()

    async def run(self) -> None:
        """Receive messages until the supervisor ends, which is an order to stop."""
        try:
            await self._channel.run(self._receive)
        finally:
            self.stop.set()
            self.started.set()

    async def send(self, kind: str, **members: object) -> None:
        """Send the supervisor a message, and return when the kernel has it. Does nothing when the supervisor ended."""
        with suppress(ChannelClosed):  # which sets ``stop``, too
            await self._channel.deliver({"kind": kind, **members})

    def report(self, telemetry: Telemetry) -> None:
        """From now on report the counters of ``telemetry`` when the supervisor asks for them."""
        self._telemetry = telemetry

    async def send_counters(self) -> int:
        """Send the counters; returns the resident memory that was sent with them, in bytes."""
        counters = self._counters()
        await self.send(**counters)
        return int(counters["resident"])

    @contextmanager
    def question(self) -> Iterator[Question]:
        """A question, which receives answers until the block ends."""
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
                    self._questions[number].receive(message)
            case {"kind": "measure", "round": int(number)}:
                self._round = number
                self._channel.post(self._counters())
            case {"kind": "workers", "ready": int(ready), "of": int(of)}:
                self.workers = ReadyWorkers(ready, of)
            case {"kind": "start"}:
                self.start = message
                self.started.set()
            case {"kind": "retire"}:
                self.retire.set()
            case {"kind": "drain"}:
                self.drain.set()
            case {"kind": "stop"}:
                self.stop.set()

    def _counters(self) -> Message:
        return {
            "kind": "counters",
            "round": self._round,
            "snapshot": self._telemetry.snapshot() if self._telemetry is not None else {},
            "resident": resident_bytes(),
        }


class SharedReplies(Replies):
    """Replies in the supervisor's cache, which all workers share."""

    def __init__(self, link: Link) -> None:
        self._link = link

    async def once(self, key: IdempotencyKey, execute: Callable[[], Awaitable[Answer]]) -> Answer:
        """See ``Replies.once``. The supervisor has a reply before the client gets it."""
        with self._link.question() as question:
            claim = {"digest": key.digest, "fingerprint": key.fingerprint, "tenant": key.tenant}
            try:
                question.ask({"kind": "claim", **claim})
            except ChannelClosed:
                await anyio.sleep_forever()  # this worker is about to stop, which cancels the request
            claimed, reply = True, None
            try:
                match await question.answer():
                    case {"kind": "claim_granted"}:
                        answer = await execute()
                        if answer.outcome == "ok":
                            reply = reply_document(answer)
                        return answer
                    case {"kind": "reply", "reply": stored}:
                        claimed = False
                        return reply_of(stored)
                    case _:
                        claimed = False
                        raise KeyReused
            finally:
                if claimed:
                    await question.conclude({"kind": "release", "reply": reply})


class WorkerPeers(Peers):
    """The workers behind this worker's port."""

    def __init__(self, link: Link) -> None:
        self._link = link

    @property
    def workers(self) -> ReadyWorkers | None:
        """How many answer, of how many."""
        return self._link.workers

    async def metrics(self) -> bytes:
        """The sum of all workers' metrics."""
        with anyio.move_on_after(METRICS_TIMEOUT_S), self._link.question() as question:
            try:
                question.ask({"kind": "metrics"})
                answer = await question.answer()
            except ChannelClosed:
                pass
            else:
                return render(_FAMILIES, [snapshot_of(answer["snapshot"], _FAMILIES)])
        raise Refused(503, "metrics_unavailable", "The metrics of the runner's workers are unavailable.")
