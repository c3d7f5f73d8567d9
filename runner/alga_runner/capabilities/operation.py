"""What an operation is, and what it is told about the execution that calls it."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, Generic, TypeVar

from pydantic import BaseModel

from ..alga import AlgaServer, Identity
from ..errors import HostCallCode

InputT = TypeVar("InputT", bound=BaseModel)
OutputT = TypeVar("OutputT")

DEFAULT_REQUEST_LIMIT = 64 * 1024
"""Bytes of a host call's request, unless its operation says otherwise (guest ABI, "Refusals")."""


@dataclass(frozen=True, slots=True)
class LogLine:
    """One line the guest wrote: ``level`` is debug, info, warn or error; ``truncated`` says it was cut."""

    level: str
    message: str
    truncated: bool = False


@dataclass(frozen=True, slots=True)
class HostCallRecord:
    """One host call as it happened: who reads it is the caller of the execution, never a log."""

    number: int
    operation: str
    status: str
    """``ok`` or the host call code."""
    arguments: Any
    reply: Any
    duration_s: float


@dataclass(slots=True)
class Execution:
    """What operations may know of the execution that calls them, and where its records gather.

    ``granted`` are normalised capability names; ``deadline`` is a reading of ``time.monotonic()`` in seconds.
    """

    identity: Identity
    granted: frozenset[str]
    alga: AlgaServer
    deadline: float
    version_id: str | None = None
    config: Mapping[str, str] = field(default_factory=dict)
    trigger: str | None = None
    schedule_id: str | None = None
    nominal_time: str | None = None
    host_calls: list[HostCallRecord] = field(default_factory=list)
    log: list[LogLine] = field(default_factory=list)


@dataclass(frozen=True, slots=True)
class Operation(Generic[InputT, OutputT]):
    """One host function, declared once; imports, gate, documents and tests derive from it.

    ``name`` is ``group.operation`` (``scheduler.get-endpoints``): the import's module is ``alga:group``. ``output``
    is what ``run`` returns, in words a pydantic ``TypeAdapter`` takes. ``codes`` are the errors it can answer
    besides ``denied``, ``validation-failed``, ``too-large`` and ``internal``, which any operation can.
    """

    name: str
    capability: str
    summary: str
    input: type[InputT]
    output: Any
    run: Callable[[Execution, InputT], Awaitable[OutputT]]
    codes: tuple[HostCallCode, ...] = ()
    request_limit: int = DEFAULT_REQUEST_LIMIT

    @property
    def group(self) -> str:
        """``scheduler`` of ``scheduler.create``."""
        return self.name.partition(".")[0]

    @property
    def function(self) -> str:
        """``create`` of ``scheduler.create``: the import's name."""
        return self.name.partition(".")[2]
