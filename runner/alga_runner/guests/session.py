"""The state of one execution while its guest runs, and the limits it counts."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from time import monotonic, thread_time
from types import CoroutineType
from typing import Any, Protocol

from ..capabilities import Execution
from ..engine import Budget, Guest, failed_allocation, read_reason
from ..errors import (
    AbiBreach,
    CopyLimit,
    DeadlineExceeded,
    GuestExit,
    GuestTrap,
    HostCallLimit,
    MemoryLimit,
    MessageLimit,
    OutOfBounds,
    SecondResponse,
    TooEarly,
    TooLate,
)
from .http import RESPONSE_OVERHEAD_BYTES


@dataclass(frozen=True, slots=True)
class SessionLimits:
    """The limits of one execution, in counts and bytes."""

    host_calls: int
    system_calls: int
    copied_bytes: int
    request_bytes: int
    items: int
    body_bytes: int
    component_body_bytes: int


def too_many_calls(limits: SessionLimits) -> HostCallLimit:
    """The error of a guest that called Alga's functions more often than it may."""
    return HostCallLimit(
        f"The guest called Alga's functions more than {limits.host_calls} times.", hint="See max_host_calls."
    )


def too_many_system_calls(limits: SessionLimits) -> HostCallLimit:
    """The error of a guest that called functions of any kind more often than it may."""
    return HostCallLimit(
        f"The guest called functions of the host, WASI's among them, more than {limits.system_calls} times.",
        hint="See max_system_calls.",
    )


def explained(error: GuestTrap | GuestExit, stderr: bytes) -> GuestTrap | GuestExit | MemoryLimit:
    """``error`` with what the guest's runtime wrote to stderr before the guest ended, or what its stack shows."""
    trap = error.trap_code if isinstance(error, GuestTrap) else None
    reason = read_reason(stderr.decode("utf-8", "replace"))
    memory = str(reason) if reason is not None and reason.is_memory else ""
    if reason is None and trap == "unreachable" and (failed := failed_allocation(error.frames)):
        memory = f"it trapped in {failed}"
    if memory:
        return MemoryLimit(
            f"The guest ran out of memory: {memory}",
            frames=error.frames,
            hint="See max_memory_mb and limits.memory_mb.",
        )
    if reason is None:
        return error
    hint = "The first line of its stack is where it failed." if reason.stack else error.hint
    if isinstance(error, GuestExit):
        return GuestExit(f"{str(error).rstrip('.')}: {reason}", frames=error.frames, hint=hint)
    message = f"The handler failed: {reason}"
    if trap != "unreachable":  # no runtime's own way out: what it wrote may be anything
        message = f"{error} It wrote to stderr: {reason}"
    return GuestTrap(message, trap_code=trap, frames=error.frames, hint=hint)


_CALLS_BETWEEN = 100
"""Calls from one look at the clock to the next."""

_COPIED_BETWEEN = 256 * 1024
"""Bytes copied from one look at the clock to the next: copying them takes a tenth of a millisecond."""

_LONGEST_TICKS = 50
"""How long a slice may take with calls of the host alone: many times a slice, so that a late timer ends no guest."""


_NO_EXCHANGE: tuple[int, int, bytes | None] = (0, 0, None)

_EXCHANGED_BYTES = 64 * 1024
"""Of a request or a response that the engine may exchange by itself."""


def exchanged_bytes(limits: SessionLimits) -> int:
    """The longest request and response that the engine may exchange by itself.

    It does not count, so limits must be so wide that none can be met before the first look at the clock, after which
    it asks for each: 0 where they are not.
    """
    few = min(limits.host_calls, limits.system_calls) < 2 * _CALLS_BETWEEN
    if few or limits.copied_bytes < 32 * _EXCHANGED_BYTES:
        return 0
    return min(_EXCHANGED_BYTES, limits.body_bytes + RESPONSE_OVERHEAD_BYTES)


class CallPace:
    """Limits how often a guest calls the host, and for how long where nothing interrupts it.

    A slice ends where the guest starts a loop's turn or a function. Calls one after the other have neither, and they
    would hold the event loop for as long as there are any.
    """

    __slots__ = ("_budget", "_limits", "_longest_s", "_slice", "_started", "next_look")

    def __init__(self, limits: SessionLimits, budget: Budget, tick_ms: int) -> None:
        self._limits = limits
        self._budget = budget
        self._longest_s = _LONGEST_TICKS * tick_ms / 1000
        self._slice = -1.0
        self._started = 0.0
        self.next_look = min(_CALLS_BETWEEN, limits.system_calls + 1)
        """The number of the call at which to call ``look``."""

    def look(self, calls: int) -> None:
        """Raise ``HostCallLimit`` after too many ``calls``, or after a slice of nothing else.

        Raises ``DeadlineExceeded`` and ``CpuLimit``, too: such a slice can last past both.
        """
        if calls > self._limits.system_calls:
            raise too_many_system_calls(self._limits)
        used_s, now = self._budget.used_s, thread_time()
        if used_s != self._slice:  # a slice has ended since the last look
            self._slice, self._started = used_s, now
        elif monotonic() > self._budget.deadline:
            raise DeadlineExceeded
        elif used_s + now - self._started > self._budget.cpu_s:
            raise self._budget.cpu_limit_error()
        elif now - self._started > self._longest_s:
            raise HostCallLimit(
                "The guest called functions of the host one after the other for too long, without a loop.",
                hint="Call them in a loop: nothing can interrupt the guest between these calls.",
            )
        self.next_look = min(calls + _CALLS_BETWEEN, self._limits.system_calls + 1)


class LogSession(Protocol):
    """What the log needs of an execution."""

    unfinished: dict[int, bytes]
    """By descriptor: the bytes written since the last line break."""

    stderr: bytes
    """The last bytes written to stderr: they may explain why the guest ends."""

    @property
    def execution(self) -> Execution:
        """Whose log it is."""


class LogSink(Protocol):
    """Takes the lines that a guest writes for people to read."""

    async def line(self, session: LogSession, level: str, message: str) -> None:
        """Log one line, cut if it is too long. Raises ``LogLimit``."""

    async def stream(self, session: LogSession, descriptor: int, data: bytes) -> None:
        """Log the lines in ``data``, written to stdout or stderr. Raises ``LogLimit``."""


class Session:
    """One execution of one guest: its request, its reply, its response, and what it has used up."""

    __slots__ = (
        "_answers",
        "_copied",
        "_next_look",
        "clock_ns",
        "execution",
        "exit_status",
        "guest",
        "handling",
        "host_calls",
        "limits",
        "log",
        "pace",
        "reply",
        "request",
        "response",
        "stderr",
        "unfinished",
        "unread",
    )

    def __init__(
        self,
        guest: Guest,
        execution: Execution,
        answers: tuple[Callable[..., Any], ...],
        *,
        request: bytes,
        limits: SessionLimits,
        pace: CallPace,
        log: LogSink,
        clock_ns: Callable[[], int],
    ) -> None:
        self.guest = guest
        self.execution = execution
        self._answers = answers
        self.request = request
        self.limits = limits
        self.pace = pace
        self.log = log
        self.clock_ns = clock_ns
        self.reply: bytes | None = None
        self.unread = 0
        """Bytes of the reply that are counted and not copied yet."""
        self.response: bytes | None = None
        self.exit_status: int | None = None
        self.handling = False
        self.host_calls = 0
        self._copied = 0
        self._next_look = min(_COPIED_BETWEEN, limits.copied_bytes)
        """The number of copied bytes beyond which to look at the clock."""
        self.unfinished: dict[int, bytes] = {}
        self.stderr = b""

    def answer(
        self, function: int, arguments: tuple[Any, ...]
    ) -> float | CoroutineType[Any, Any, float | None] | None:
        """Answer the function at this position. It may run on the guest's stack, so it calls no more than it has to."""
        guest = self.guest
        if guest.exchanged:
            self.catch_up()
        if guest.calls >= self.pace.next_look:
            guest.close_exchange()
            self.pace.look(guest.calls)
        answer: float | CoroutineType[Any, Any, float | None] | None
        answer = self._answers[function](self, *arguments)
        return answer

    def catch_up(self) -> None:
        """Count what the engine has exchanged with the guest by itself, and take the response if there is one."""
        calls, copied, response = self.guest.take_exchange() if self.guest.exchanges else _NO_EXCHANGE
        if calls:
            self.guest.calls += calls
            self.host_calls += calls
            self._copied += copied
            self.response, self.handling = response, response is None

    @property
    def held_bytes(self) -> int:
        """Bytes that the host holds for the guest: its request, the reply that it has to fetch, a body on its way."""
        return len(self.request) + len(self.reply or b"") + self.execution.held_bytes

    def count_call(self) -> None:
        """Count a call of one of Alga's functions. Raises ``HostCallLimit``."""
        self.host_calls += 1
        if self.host_calls > self.limits.host_calls:
            raise too_many_calls(self.limits)

    def require_handler(self, name: str) -> None:
        """Raise ``TooEarly`` until the handler has started, ``TooLate`` once it responded (guest ABI, "Lifetimes")."""
        if self.response is not None:
            raise TooLate(f"The guest called {name} after it had responded.", hint="Respond last.").at(
                host_call=name
            )
        if not self.guest.handling:
            raise TooEarly(f"The guest called {name} before its handler started.").at(host_call=name)
        self.handling = True

    def check_range(self, name: str, offset: int, length: int) -> None:
        """Raise ``OutOfBounds``, naming the host call, unless the range is inside memory."""
        memory = self.guest.memory
        if memory is None:
            raise OutOfBounds("The guest has no memory yet.").at(host_call=name)
        if offset + length > memory.known_size:
            try:
                memory.check(offset, length)
            except AbiBreach as breach:
                breach.at(host_call=name)
                raise

    def read(self, name: str, offset: int, length: int) -> bytes:
        """A copy of a range of the guest's memory. Raises ``OutOfBounds`` or ``CopyLimit``."""
        self.check_range(name, offset, length)
        return self.take(offset, length)

    def write(self, name: str, offset: int, data: bytes) -> None:
        """Copy ``data`` into the guest's memory. Raises ``OutOfBounds`` or ``CopyLimit``."""
        self.check_range(name, offset, len(data))
        self.put(offset, data)

    def take(self, offset: int, length: int) -> bytes:
        """A copy of a range that ``check_range`` has seen. Raises ``CopyLimit``."""
        memory = self.guest.memory
        assert memory is not None  # noqa: S101 - check_range has seen it
        self._copied += length
        if self._copied > self._next_look:
            self._look()
        return memory.read(offset, length)

    def put(self, offset: int, data: bytes) -> None:
        """Copy ``data`` into a range that ``check_range`` has seen. Raises ``CopyLimit``."""
        memory = self.guest.memory
        assert memory is not None  # noqa: S101 - check_range has seen it
        self._copied += len(data)
        if self._copied > self._next_look:
            self._look()
        memory.write(offset, data)

    def keep(self, reply: bytes) -> None:
        """Keep a reply that the guest has to fetch. The host made it, so it counts as if it were copied, once.

        Raises ``CopyLimit``.
        """
        self._copied += len(reply)
        if self._copied > self._next_look:
            self._look()
        self.reply, self.unread = reply, len(reply)

    def fetch(self, reply: bytes, offset: int, capacity: int) -> int:
        """Hand over the reply that was kept. Raises ``OutOfBounds`` or ``CopyLimit``."""
        if len(reply) <= capacity:
            self._copied -= self.unread
            self.unread = 0
        return self.hand_over("alga:abi reply", reply, offset, capacity)

    def _look(self) -> None:
        most = self.limits.copied_bytes
        if self._copied > most:
            raise CopyLimit(
                f"The guest had more than {most} bytes copied across its border.",
                hint="See max_copied_bytes.",
            )
        self.guest.close_exchange()
        self._next_look = min(self._copied + _COPIED_BETWEEN, most)
        self.pace.look(self.guest.calls)

    def respond(self, offset: int, length: int) -> None:
        """Take the response. Raises ``SecondResponse``, ``MessageLimit`` or ``OutOfBounds``."""
        if self.response is not None:
            raise SecondResponse("The guest responded a second time.").at(host_call="alga:abi respond")
        memory = self.guest.memory
        if memory is None or offset + length > memory.known_size:
            self.check_range("alga:abi respond", offset, length)
        if length > self.limits.body_bytes + RESPONSE_OVERHEAD_BYTES:
            raise MessageLimit(
                f"The guest's response has {length} bytes; its body may have {self.limits.body_bytes}.",
                hint="See max_body_bytes.",
            )
        self.response = self.take(offset, length)
        self.handling = False

    def hand_over(self, name: str, document: bytes, offset: int, capacity: int) -> int:
        """Copy ``document`` into a range of the guest's memory if it fits; how long it is.

        Raises ``OutOfBounds`` or ``CopyLimit``.
        """
        memory = self.guest.memory
        if memory is None or offset + capacity > memory.known_size:
            self.check_range(name, offset, capacity)
        length = len(document)
        if length <= capacity:
            self.put(offset, document)
        return length
