"""One worker process, as the supervisor sees it: started, spoken to, and gone."""

from __future__ import annotations

import logging
import signal
import socket
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from time import monotonic

import anyio

from ..errors import AlgaError, WorkerFailed
from ..settings import Settings
from ..telemetry.exposition import Snapshot
from .acceptor import ConnectionCounts
from .channel import Channel, ChannelBroken, ChannelClosed, Message
from .messages import failure_of, max_message_bytes, snapshot_of

logger = logging.getLogger("alga_runner")

EXIT_S = 5.0
"""How long a process may still exist after it closed its channel."""

_LOOK_S = 0.01

Converse = Callable[["WorkerProcess", Message], bool]
"""Takes a message that this module does not know; whether there is such a message."""


@dataclass(frozen=True, slots=True)
class Plan:
    """What all workers are started with. ``program`` is what the interpreter runs."""

    settings: Settings
    workers: int
    require_token: bool
    listener: socket.socket
    board: ConnectionCounts
    program: tuple[str, ...] = ("-P", "-m", "alga_runner.workers")


class WorkerProcess:
    """A worker: its ``number`` of 1 to N, which its successor inherits, and its seat on the board.

    Making one starts the process. Raises ``OSError`` when the system has none to give.
    """

    def __init__(self, plan: Plan, number: int, seat: int, converse: Converse) -> None:
        self.number = number
        self.seat = seat
        self.ready = anyio.Event()
        self.ended = anyio.Event()
        self.stirred = anyio.Event()
        """It ended, or there is a wish to replace it."""
        self.wish: str | None = None
        self.failure: AlgaError | None = None
        self.leaving = False
        """It was told to end, so that its end is none of its own."""
        self.silent_for = 0
        """Looks in a row at which it had said nothing."""
        self.counted: Snapshot = {}
        self.resident = 0
        self._plan = plan
        self._converse = converse
        self._channel: Channel | None = None
        self._measured = anyio.Event()
        self._asked = 0
        self._answered = 0
        self._since = monotonic()
        self._socket, its = socket.socketpair()
        with its, _signals_held():
            descriptors = (its.fileno(), plan.listener.fileno(), plan.board.descriptor)
            try:
                self._process = subprocess.Popen(  # noqa: S603 - our own interpreter
                    [sys.executable, *plan.program, *map(str, descriptors)],
                    stdin=subprocess.DEVNULL,
                    stdout=subprocess.DEVNULL,
                    pass_fds=descriptors,
                )
            except OSError:
                self._socket.close()
                raise

    def __str__(self) -> str:
        return f"Worker {self.number} (process {self.pid})"

    @property
    def pid(self) -> int:
        """Its process id."""
        return self._process.pid

    @property
    def answers(self) -> bool:
        """Whether it takes requests."""
        return self.ready.is_set() and not self.leaving and not self.ended.is_set()

    @property
    def lived_s(self) -> float:
        """How long ago it answered for the first time; 0 if it did not."""
        return monotonic() - self._since if self.ready.is_set() else 0.0

    async def run(self) -> None:
        """Attend to it from its start to its end. Cancelled, it is killed."""
        channel = Channel(self._socket, max_bytes=max_message_bytes(self._plan.settings))
        self._channel = channel
        try:
            self.post(
                {
                    "kind": "start",
                    "worker": self.number,
                    "seat": self.seat,
                    "settings": self._plan.settings.for_worker(self.number, self._plan.workers).document(),
                    "require_token": self._plan.require_token,
                }
            )
            await channel.run(self._receive)
            await self._gone()
        except ChannelBroken as broken:
            self.failure = WorkerFailed(f"{self} sent {broken}, and was killed.")
            logger.error("%s", self.failure, extra={"action": "worker_broken", **self.who})  # noqa: TRY400
        finally:
            channel.close()
            self.kill()
            with anyio.CancelScope(shield=True):
                await self._gone()
            self._plan.board.leave(self.seat)
            self.ended.set()
            self._measured.set()
            self.stirred.set()

    @property
    def who(self) -> dict[str, int]:
        """Its number and process, for a log line."""
        return {"worker": self.number, "pid": self.pid}

    def post(self, message: Message) -> None:
        """Tell it something, if it is there to be told. One that does not read is killed."""
        try:
            if self._channel is not None:
                self._channel.post(message)
        except ChannelClosed:
            self.kill()

    def tell(self, order: str) -> None:
        """``retire``, ``drain`` or ``stop``."""
        self.leaving = True
        self.post({"kind": order})

    def wants(self, why: str) -> None:
        """Somebody wants it replaced."""
        if self.wish is None and not self.leaving:
            self.wish = why
            self.stirred.set()

    async def measure(self) -> None:
        """Return when it has said what it counted up to now, or is gone; it may never do so."""
        if not self.ready.is_set():
            return
        self._asked += 1
        asked = self._asked
        self.post({"kind": "measure", "ask": asked})
        while self._answered < asked and not self.ended.is_set():
            self._measured = anyio.Event()
            await self._measured.wait()

    def kill(self) -> None:
        """End it now. May be called again."""
        if self._process.poll() is None:
            self._process.kill()

    def how_it_ended(self) -> str:
        """``with exit status 1``, ``by SIGKILL``."""
        status = self._process.poll()
        if status is None:
            return "without an end"
        if status >= 0:
            return f"with exit status {status}"
        known = {each.value: each.name for each in signal.Signals}
        return f"by {known.get(-status, f'signal {-status}')}"

    def start_failure(self) -> AlgaError:
        """Why it never answered."""
        return self.failure or WorkerFailed(
            f"{self} ended {self.how_it_ended()} before it answered.", hint="Its log says more."
        )

    def _receive(self, message: Message) -> None:
        self.silent_for = 0
        match message:
            case {"kind": "ready"}:
                self._since = monotonic()
                self.ready.set()
            case {"kind": "counted", "ask": int(ask), "snapshot": snapshot, "resident": int(resident)}:
                self.counted = snapshot_of(snapshot)
                self.resident = resident
                self._answered = ask
                self._measured.set()
            case {"kind": "replace", "why": "memory" | "asked" as why}:
                self.wants(why)
            case {"kind": "failed", "code": code, "message": text, "hint": hint}:
                self.failure = failure_of(code, text, hint)
            case _ if not self._converse(self, message):
                raise ChannelBroken("an unknown message")

    async def _gone(self) -> None:
        """Return when the process is no more, or after ``EXIT_S`` seconds."""
        with anyio.move_on_after(EXIT_S):
            while self._process.poll() is None:  # noqa: ASYNC110 - without a thread, its end is no event
                await anyio.sleep(_LOOK_S)


@contextmanager
def _signals_held() -> Iterator[None]:
    """A process started meanwhile begins with these signals blocked, and ignores them before it lets them through.

    Ctrl-C in a terminal reaches the workers too, and what it means is the supervisor's to say.
    """
    held = {signal.SIGINT, signal.SIGTERM, signal.SIGHUP}
    before = signal.pthread_sigmask(signal.SIG_BLOCK, held)
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)
