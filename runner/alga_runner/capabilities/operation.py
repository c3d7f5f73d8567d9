"""An operation of a capability, and the execution that calls it."""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from dataclasses import dataclass, field
from functools import partial
from typing import Any, Generic, TypeVar

from pydantic import BaseModel, TypeAdapter

from ..alga import AlgaServer, Identity, SchedulePage, UiProxy
from ..egress import Egress, InFlight
from ..errors import HostCallCode, LogLimit
from ..models import ExecutionContext, User
from ..models._base import CamelModel
from ..secrets import ExecutionSecrets
from ..telemetry import ExecutionSpan

InputT = TypeVar("InputT", bound=BaseModel)
OutputT = TypeVar("OutputT", bound=BaseModel)


RECORDED_BYTES = 1024 * 1024
"""About how many bytes of its arguments and replies an execution keeps in its records."""


class NoInput(CamelModel):
    """The input of an operation that needs none: an empty map.

    ``nil`` does for it.
    """


class NoOutput(CamelModel):
    """The output of an operation that has nothing to say but that it was done: an empty map."""


@dataclass(frozen=True, slots=True)
class Listing:
    """An output whose one member is a list, in pages: the items of one are written before the next is asked for."""

    member: str
    pages: AsyncIterator[SchedulePage]


class Members:
    """An output as ``dump`` gives it, from an operation that checked its few members itself."""

    __slots__ = ("members",)

    def __init__(self, members: dict[str, object]) -> None:
        self.members = members


@dataclass(slots=True)
class LogLine:
    """One line the guest wrote: ``level`` is debug, info, warn or error; a ``truncated`` line was cut.

    ``stream`` is its source: ``log``, ``stdout`` or ``stderr``.
    """

    level: str
    message: str
    truncated: bool = False
    stream: str = "log"


@dataclass(slots=True)
class HostCallRecord:
    """One host call as it happened, for the caller of the execution, never for a log."""

    number: int
    operation: str
    status: str
    """``ok``, the host call code, ``breach``, ``cancelled``, or the code of the limit it met."""
    arguments: Any
    """As decoded; ``None`` when the call was not decoded, or when ``elided``."""
    reply: Any
    """The envelope; ``None`` when none was sent, or when ``elided``."""
    duration_s: float
    elided: bool = False
    """The execution's budget for recorded values was spent; arguments and reply were dropped."""


@dataclass(frozen=True, slots=True)
class LogLimits:
    """The limits of one execution's log: bytes of a line, lines, and bytes in total."""

    line_bytes: int = 8 * 1024
    lines: int = 10_000
    total_bytes: int = 4 * 1024 * 1024


_LOG_LIMITS = LogLimits()


@dataclass(slots=True)
class Execution:
    """The execution that calls an operation, as far as operations may know it, and its records.

    ``granted`` are normalised capability names; ``deadline`` is a reading of ``time.monotonic()`` in seconds;
    ``context`` and ``user`` are the request's. ``recorded_bytes_left`` bounds what records keep, in bytes, roughly; 0
    keeps no arguments and no replies.
    """

    context: ExecutionContext
    granted: frozenset[str]
    alga: AlgaServer
    deadline: float
    execution_token: str | None = field(default=None, repr=False)
    recorded_bytes_left: int = RECORDED_BYTES
    log_limits: LogLimits = _LOG_LIMITS
    user: User | None = field(default=None, repr=False)
    egress: Egress = field(default_factory=Egress)
    secrets: ExecutionSecrets = field(default_factory=ExecutionSecrets)
    ui_proxy: UiProxy | None = None
    host_calls: list[HostCallRecord] = field(default_factory=list)
    log: list[LogLine] = field(default_factory=list)
    logged_bytes: int = 0
    system_calls: int = 0
    """How often the guest called functions of the host that are not Alga's: clocks, random bytes, mathematics."""
    span: ExecutionSpan | None = field(default=None, repr=False)
    on_log: Callable[[ExecutionContext, LogLine], None] | None = field(default=None, repr=False)
    """Is called with each line as it is logged."""
    log_stream: str = "log"
    """The source of the line under way: ``log``, ``stdout`` or ``stderr``."""
    in_flight: InFlight | None = field(default=None, repr=False)
    """What its request to another server takes of the memory, while one is under way."""
    _identity: Identity | None = None

    @property
    def held_bytes(self) -> int:
        """Bytes of memory that its host call under way takes."""
        return 0 if self.in_flight is None else self.in_flight.held_bytes

    @property
    def identity(self) -> Identity:
        """The caller, as the Alga server sees it."""
        if self._identity is None:
            context = self.context
            token = self.execution_token
            of = context.tenant_id, context.extension_id, context.install_id, context.request_id, token, ()
            self._identity = tuple.__new__(Identity, of)  # half the time of a call of the class
        return self._identity

    def trace(self, headers: tuple[tuple[bytes, bytes], ...]) -> None:
        """Have the Alga server asked with ``headers`` from now on, which name the host call's span."""
        self._identity = self.identity._replace(trace_headers=headers)

    @property
    def idempotency_key(self) -> str | None:
        """Names the host call under way: an execution repeated with the same request id repeats its keys.

        ``None`` without a request id. A guest makes one host call at a time, and each is recorded as it ends.
        """
        request_id = self.context.request_id
        if not request_id:
            return None
        return f"{request_id}:{len(self.host_calls) + 1}"

    async def ask(self, operation: str, members: Mapping[str, object]) -> Mapping[str, object]:
        """The Alga server's good answer to ``operation``, a name of its own (``alga/calls.py``), for the install.

        Raises ``HostCallError``: every other answer, and an execution without an install.
        """
        identity = self.identity
        identity.require_install()
        return await self.alga.ask(operation, members, identity, self.deadline)

    def write_log(self, level: str, message: str, *, truncated: bool = False) -> None:
        """Append one line of the guest, without secrets that it read, cut between characters at ``line_bytes``.

        Raises ``LogLimit`` when the execution has logged as much as it may.
        """
        message = self.secrets.hide_text(message)
        encoded = message.encode("utf-8", "replace")
        limits = self.log_limits
        if len(encoded) > limits.line_bytes:
            encoded = encoded[: limits.line_bytes]
            message, truncated = encoded.decode("utf-8", "ignore"), True
        self.logged_bytes += len(encoded)
        if len(self.log) >= limits.lines or self.logged_bytes > limits.total_bytes:
            raise LogLimit(f"The guest logged more than {limits.lines} lines or {limits.total_bytes} bytes.")
        line = LogLine(level, message, truncated, self.log_stream)
        self.log.append(line)
        if self.on_log is not None:
            self.on_log(self.context, line)


READ_CODES = (HostCallCode.NOT_FOUND, HostCallCode.TIMEOUT, HostCallCode.UNAVAILABLE)
"""Errors of any operation that the Alga server answers: it may not know the install, or not answer."""


@dataclass(frozen=True, slots=True)
class Operation(Generic[InputT, OutputT]):
    """One host function, declared once; imports, gate, documents and tests derive from it.

    ``name`` is ``group.operation`` (``scheduler.get-endpoints``): the import's module is ``alga:group``. ``output``
    is what ``run`` returns, or gives as a ``Listing`` or as ``Members``: a map for the guest in every case, so that
    members can be added.
    ``codes`` are the errors it can answer besides ``denied``, ``validation-failed``, ``too-large`` and ``internal``,
    which any operation can. A request may carry ``payload_bytes`` of bodies, values or payloads beyond the limit that
    all requests share.
    """

    name: str
    capability: str
    summary: str
    input: type[InputT]
    output: type[OutputT]
    run: Callable[[Execution, InputT], Awaitable[OutputT | Listing | Members]]
    codes: tuple[HostCallCode, ...] = ()
    payload_bytes: int = 0
    repeatable: Callable[[Execution, InputT], bool] = lambda _execution, _input: True
    """Whether the call may be made again, with the same input, if it is not known whether it was carried out."""
    validate: Callable[[object], InputT] = field(init=False, repr=False, compare=False)
    """Build the input from a decoded map; raises pydantic's ``ValidationError``."""
    dump: Callable[[OutputT], object] = field(init=False, repr=False, compare=False)
    """The output as plain values: aliases for names, absent members left out, payloads kept as they are."""
    takes_input: bool = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        # A model was checked when it was made; to ask for errors takes twice as long as all the rest.
        to_python = TypeAdapter(self.output).serializer.to_python
        object.__setattr__(self, "validate", TypeAdapter(self.input).validator.validate_python)
        object.__setattr__(self, "dump", partial(to_python, by_alias=True, exclude_none=True))
        object.__setattr__(self, "takes_input", bool(self.input.model_fields))

    @property
    def group(self) -> str:
        """``scheduler`` of ``scheduler.create``."""
        return self.name.partition(".")[0]

    @property
    def function(self) -> str:
        """``create`` of ``scheduler.create``: the import's name."""
        return self.name.partition(".")[2]
