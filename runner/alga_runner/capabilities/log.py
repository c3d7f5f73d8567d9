"""``cap:log.emit``: the extension's own log, which belongs to the execution's caller."""

from __future__ import annotations

from typing import Any

from pydantic import Field

from ..models._base import CamelModel
from ..models.members import Text
from .operation import Execution, NoOutput, Operation

CAPABILITY = "cap:log.emit"

LEVELS = ("debug", "info", "warn", "error")
"""The levels in the order of the core ABI's numbers."""


class LogEntry(CamelModel):
    """One line to log."""

    level: Text = Field(description="`debug`, `info`, `warn` or `error`; any other counts as `info`")
    message: str = Field(description="a long one is cut")


async def _emit(execution: Execution, entry: LogEntry) -> NoOutput:
    execution.write_log(entry.level if entry.level in LEVELS else "info", entry.message)
    return NoOutput()


OPERATIONS: tuple[Operation[Any, Any], ...] = (
    Operation(
        name="log.emit",
        capability=CAPABILITY,
        summary="Write one line to the execution's log; long lines are cut.",
        input=LogEntry,
        output=NoOutput,
        run=_emit,
    ),
)
