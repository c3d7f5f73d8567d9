"""The host's functions, as guest-abi/wit imports them, in the shape of ``Host``."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import asdict
from typing import TypeVar

from componentize_py_types import Err
from wit_world.imports import context, logging, scheduler
from wit_world.imports.types import (
    ContextData,
    CreateScheduleInput,
    CreateScheduleResult,
    DeleteScheduleResult,
    UpdateScheduleInput,
    UpdateScheduleResult,
)
from wit_world.imports.types import ScheduleInfo as WitSchedule

from .types import UNSET, EndpointInfo, HostError, Json, ScheduleInfo, Unset, WriteResult

Value = TypeVar("Value")
Answer = CreateScheduleResult | UpdateScheduleResult | DeleteScheduleResult


class Logging:
    """The execution's log. Needs ``cap:log.emit``."""

    def info(self, message: str) -> None:
        """Log a line."""
        logging.log_info(_printable(message))

    def warn(self, message: str) -> None:
        """Log a line for someone to look at."""
        logging.log_warn(_printable(message))

    def error(self, message: str) -> None:
        """Log a line about a fault."""
        logging.log_error(_printable(message))


class Scheduler:
    """The install's schedules. Needs ``cap:scheduler.manage``.

    ``create``, ``update`` and ``delete`` never raise; the others raise ``HostError``.
    """

    def list(self) -> list[ScheduleInfo]:
        """Every schedule of this install."""
        return [_schedule(info) for info in _attempt("scheduler.list", scheduler.list_schedules)]

    def get(self, schedule_id: str) -> ScheduleInfo | None:
        """One schedule; ``None`` if this install does not have it."""
        info = _attempt("scheduler.get", lambda: scheduler.get_schedule(_text("schedule_id", schedule_id)))
        return None if info is None else _schedule(info)

    def get_endpoints(self) -> tuple[EndpointInfo, ...]:
        """The endpoints of the installed version."""
        endpoints = _attempt("scheduler.getEndpoints", scheduler.get_endpoints)
        return tuple(EndpointInfo(**asdict(endpoint)) for endpoint in endpoints)

    def create(
        self,
        *,
        endpoint: str,
        cron: str,
        timezone: str | None = None,
        enabled: bool | None = None,
        name: str | None = None,
        payload: Json = None,
    ) -> WriteResult:
        """Create a schedule for ``endpoint``, which is ``/path`` of the manifest or ``METHOD /path``."""
        return _write(
            "scheduler.create",
            lambda: scheduler.create_schedule(
                CreateScheduleInput(
                    _text("endpoint", endpoint),
                    _text("cron", cron),
                    _optional_text("timezone", timezone),
                    _optional_bool("enabled", enabled),
                    _optional_text("name", name),
                    None if payload is None else _json(payload),
                )
            ),
        )

    def update(
        self,
        schedule_id: str,
        *,
        endpoint: str | None = None,
        cron: str | None = None,
        timezone: str | None = None,
        enabled: bool | None = None,
        name: str | None = None,
        payload: Json | Unset = UNSET,
    ) -> WriteResult:
        """Change a schedule. A member that is left out stays as it is; ``payload=None`` clears the payload."""
        return _write(
            "scheduler.update",
            lambda: scheduler.update_schedule(
                _text("schedule_id", schedule_id),
                UpdateScheduleInput(
                    _optional_text("endpoint", endpoint),
                    _optional_text("cron", cron),
                    _optional_text("timezone", timezone),
                    _optional_bool("enabled", enabled),
                    _optional_text("name", name),
                    _change(payload),
                ),
            ),
        )

    def delete(self, schedule_id: str) -> WriteResult:
        """Delete a schedule."""
        return _write(
            "scheduler.delete", lambda: scheduler.delete_schedule(_text("schedule_id", schedule_id))
        )


class Host:
    """What an extension may ask its host for. A capability that was not granted is refused when it is used.

    The interfaces that have no member here are modules of ``wit_world.imports``.
    """

    def __init__(self) -> None:
        self.logging = Logging()
        self.scheduler = Scheduler()

    @property
    def context(self) -> ContextData:
        """Whose execution this is. Needs ``cap:context.read``."""
        return _attempt("context", context.get_context)


def _attempt(operation: str, call: Callable[[], Value]) -> Value:
    try:
        return call()
    except Err as refusal:
        raise HostError(_code(refusal.value), operation) from None


def _code(case: object) -> str:
    """The name of an error's case as WIT has it."""
    return str(getattr(case, "name", case)).lower().replace("_", "-")


def _write(operation: str, call: Callable[[], Answer]) -> WriteResult:
    """What a write answered. A value that cannot cross is an answer, too."""
    try:
        answer = call()
    except (TypeError, ValueError, RecursionError) as fault:
        return WriteResult(success=False, error=f"{operation} was not called: {fault}.")
    errors = getattr(answer, "field_errors", None)
    return WriteResult(
        success=answer.success,
        error=answer.error,
        field_errors=json.loads(errors) if errors else {},
        schedule_id=getattr(answer, "schedule_id", None),
    )


def _schedule(info: WitSchedule) -> ScheduleInfo:
    values = asdict(info)
    text = values.pop("payload")
    return ScheduleInfo(**values, payload=json.loads(text) if text else None)


def _change(payload: Json | Unset) -> str | None:
    """What an update's payload is in WIT: absent stays, an empty text clears."""
    if isinstance(payload, Unset):
        return None
    return "" if payload is None else _json(payload)


def _json(payload: Json) -> str:
    return json.dumps(payload, allow_nan=False)


# The runtime of componentize-py ends the guest for a value of another type than the host's, so it is refused before.


def _text(name: str, value: object) -> str:
    if not isinstance(value, str):
        raise TypeError(f"{name} must be text, not {type(value).__name__}")
    try:
        value.encode()
    except UnicodeEncodeError:
        raise ValueError(f"{name} holds half of a surrogate pair") from None
    return value


def _optional_text(name: str, value: object) -> str | None:
    return None if value is None else _text(name, value)


def _optional_bool(name: str, value: object) -> bool | None:
    if value is not None and not isinstance(value, bool):
        raise TypeError(f"{name} must be True or False, not {type(value).__name__}")
    return value


def _printable(message: object) -> str:
    """Any value as a line of the log: writing to the log never fails."""
    return str(message).encode(errors="replace").decode()
