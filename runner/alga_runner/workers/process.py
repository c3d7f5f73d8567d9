"""One worker process, as the supervisor sees it: started, sent messages, and ended."""

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

_POLL_S = 0.01

Handle = Callable[["WorkerProcess", Message], bool]
"""Handles a message that this module does not; returns whether there is such a message."""


@dataclass(frozen=True, slots=True)
class Plan:
    """How to start every worker. ``program`` are the interpreter's arguments."""

    settings: Settings
    workers: int
    require_token: bool
    listener: socket.socket
    counts: ConnectionCounts
    program: tuple[str, ...] = ("-P", "-m", "alga_runner.workers")


class WorkerProcess:
    """A worker: its ``number`` from 1 to N, which its successor inherits, and its ``index`` in the connection counts.

    Creating one starts the process. Raises ``OSError`` when the system cannot start another.
    """

    def __init__(self, plan: Plan, number: int, index: int, handle: Handle) -> None:
        self.number = number
        self.index = index
        self.ready = anyio.Event()
        self.ended = anyio.Event()
        self.needs_replacement = anyio.Event()
        """It ended, or a replacement was requested."""
        self.replacement_reason: str | None = None
        self.failure: AlgaError | None = None
        self.leaving = False
        """It was ordered to end, so its end is not a crash."""
        self.silent_checks = 0
        """Checks in a row without a message from it."""
        self.snapshot: Snapshot = {}
        self.resident = 0
        self._plan = plan
        self._handle = handle
        self._channel: Channel | None = None
        self._measured = anyio.Event()
        self._rounds_sent = 0
        self._round_answered = 0
        self._ready_since = monotonic()
        self._socket, worker_end = socket.socketpair()
        with worker_end, _signals_blocked():
            descriptors = (worker_end.fileno(), plan.listener.fileno(), plan.counts.descriptor)
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
    def uptime_s(self) -> float:
        """Seconds since it became ready; 0 if it did not."""
        return monotonic() - self._ready_since if self.ready.is_set() else 0.0

    @property
    def log_fields(self) -> dict[str, int]:
        """Its number and process, for a log line."""
        return {"worker": self.number, "pid": self.pid}

    async def run(self) -> None:
        """Exchange messages with the process until it ends. When cancelled, kills it."""
        channel = Channel(self._socket, max_bytes=max_message_bytes(self._plan.settings))
        self._channel = channel
        try:
            self.post(
                {
                    "kind": "start",
                    "worker": self.number,
                    "index": self.index,
                    "settings": self._plan.settings.for_worker(self.number, self._plan.workers).document(),
                    "require_token": self._plan.require_token,
                }
            )
            await channel.run(self._receive)
            await self._exited()
        except ChannelBroken as broken:
            self.failure = WorkerFailed(f"{self} sent {broken}, and was killed.")
            logger.error(  # noqa: TRY400 - the sentence names the cause
                "%s", self.failure, extra={"action": "worker_broken", **self.log_fields}
            )
        finally:
            channel.close()
            self.kill()
            with anyio.CancelScope(shield=True):
                await self._exited()
            self._plan.counts.leave(self.index)
            self.ended.set()
            self._measured.set()
            self.needs_replacement.set()

    def post(self, message: Message) -> None:
        """Send it a message, unless it ended. A worker that does not read its messages is killed."""
        try:
            if self._channel is not None:
                self._channel.post(message)
        except ChannelClosed:
            self.kill()

    def order(self, kind: str) -> None:
        """Order it to end: ``retire``, ``drain`` or ``stop``."""
        self.leaving = True
        self.post({"kind": kind})

    def request_replacement(self, reason: str) -> None:
        """Have it replaced: ``memory`` or ``asked``."""
        if self.replacement_reason is None and not self.leaving:
            self.replacement_reason = reason
            self.needs_replacement.set()

    def begin_replacement(self) -> str:
        """The reason of the request, which is granted now; a later request counts again."""
        reason, self.replacement_reason = self.replacement_reason or "asked", None
        self.needs_replacement = anyio.Event()
        return reason

    async def measure(self) -> None:
        """Ask for its metrics, and return when ``snapshot`` has them or it ended. A worker that hangs never answers."""
        if not self.ready.is_set():
            return
        self._rounds_sent += 1
        this_round = self._rounds_sent
        self.post({"kind": "measure", "round": this_round})
        while self._round_answered < this_round and not self.ended.is_set():
            self._measured = anyio.Event()
            await self._measured.wait()

    def kill(self) -> None:
        """End it now. May be called again."""
        if self._process.poll() is None:
            self._process.kill()

    def exit_status(self) -> str:
        """``with exit status 1``, ``by SIGKILL``."""
        status = self._process.poll()
        if status is None:
            return "without an exit status"
        if status >= 0:
            return f"with exit status {status}"
        names = {number.value: number.name for number in signal.Signals}
        return f"by {names.get(-status, f'signal {-status}')}"

    def start_failure(self) -> AlgaError:
        """Why it did not become ready."""
        return self.failure or WorkerFailed(
            f"{self} ended {self.exit_status()} before it answered.", hint="Its log has more."
        )

    def _receive(self, message: Message) -> None:
        self.silent_checks = 0
        match message:
            case {"kind": "ready"}:
                self._ready_since = monotonic()
                self.ready.set()
            case {"kind": "counters", "round": int(number), "snapshot": snapshot, "resident": int(resident)}:
                self.snapshot = snapshot_of(snapshot)
                self.resident = resident
                self._round_answered = number
                self._measured.set()
            case {"kind": "replace", "why": "memory" | "asked" as why}:
                self.request_replacement(why)
            case {"kind": "failed", "code": code, "message": text, "hint": hint}:
                self.failure = failure_of(code, text, hint)
            case _ if not self._handle(self, message):
                raise ChannelBroken("an unknown message")

    async def _exited(self) -> None:
        """Return when the process has exited, or after ``EXIT_S`` seconds."""
        with anyio.move_on_after(EXIT_S):
            while self._process.poll() is None:  # noqa: ASYNC110 - without a thread, its end is no event
                await anyio.sleep(_POLL_S)


@contextmanager
def _signals_blocked() -> Iterator[None]:
    """A process started inside begins with these signals blocked, and ignores them before it unblocks them.

    Ctrl-C in a terminal reaches the workers, too, and only the supervisor may act on it.
    """
    before = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT, signal.SIGTERM, signal.SIGHUP})
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)
