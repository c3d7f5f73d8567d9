"""The one gate of every host call, whichever ABI the guest speaks: capability, input, operation, reply, record."""

from __future__ import annotations

import traceback
from collections.abc import Mapping
from time import monotonic, perf_counter
from typing import Any, NoReturn, Protocol, TypeVar

from pydantic import BaseModel, ValidationError

from alga_common.sharing.large_work import LargeWorkQueue

from ..errors import AbiBreach, DeadlineExceeded, ExecutionError, HostCallCode, HostCallError
from ..telemetry import ExecutionSpan, HostCallSpan, Telemetry
from .operation import Execution, HostCallRecord, Listing, Members, Operation

SCALAR_BYTES = 64
"""What one value costs by itself: an object and the slot that refers to it."""

_PLAIN = {
    "missing": "Required",
    "string_type": "Must be a string",
    "bool_type": "Must be true or false",
    "int_type": "Must be a whole number",
    "dict_type": "Must be a map",
    "list_type": "Must be a list",
    "float_type": "Must be a number",
    "bytes_type": "Must be binary",
    "finite_number": "Must be a finite number",
    "string_too_short": "Must have at least {min_length} characters",
    "string_too_long": "Must have at most {max_length} characters",
    "bytes_too_long": "Must have at most {max_length} bytes",
    "too_short": "Must have at least {min_length} items",
    "too_long": "Must have at most {max_length} items",
    "greater_than_equal": "Must be at least {ge}",
    "less_than_equal": "Must be at most {le}",
}

MAX_DETAIL_CHARACTERS = 200


def weight(value: object, enough: int) -> int:
    """Bytes that ``value`` holds, roughly; counting stops once the sum is past ``enough``."""
    total = 0
    pending = [value]
    while pending and total <= enough:
        item = pending.pop()
        total += SCALAR_BYTES
        if isinstance(item, str | bytes):
            total += len(item)
        elif isinstance(item, Mapping):
            pending.extend(item)
            pending.extend(item.values())
        elif isinstance(item, list | tuple):
            pending.extend(item)
    return total


RequestT = TypeVar("RequestT")
ReplyT = TypeVar("ReplyT")
_RequestT_contra = TypeVar("_RequestT_contra", contravariant=True)
_ReplyT_co = TypeVar("_ReplyT_co", covariant=True)


class Codec(Protocol[_RequestT_contra, _ReplyT_co]):
    """How one ABI writes host calls."""

    def decode(self, request: _RequestT_contra, /) -> object:
        """The request as plain values. Raises ``HostCallError`` for a refusal, ``AbiBreach`` for a breach."""

    def encode(self, reply: Mapping[str, object], /) -> _ReplyT_co:
        """``{"ok": value}`` or ``{"err": {...}}`` as the guest reads it.

        An ``ok`` it cannot write raises ``HostCallError``; an ``err`` it always can.
        """

    def piece(self, item: object, /) -> object:
        """An item of a long list as ``encode`` takes it, in as little memory as it can be kept."""


class Gate:
    """Lets a guest's call through to an operation, or refuses it; each call leaves one log line, metric and record.

    It sets no deadline of its own: the execution has one, and operations read it from there.
    """

    def __init__(self, telemetry: Telemetry, large_work: LargeWorkQueue | None = None) -> None:
        """``large_work`` writes long lists."""
        self._telemetry = telemetry
        self._large_work = large_work or LargeWorkQueue()

    async def call(
        self,
        execution: Execution,
        operation: Operation[Any, Any],
        request: RequestT,
        codec: Codec[RequestT, ReplyT],
    ) -> ReplyT:
        """Carry out one host call and return the encoded envelope, ``ok`` or ``err``.

        Raises only what ends the execution: ``AbiBreach`` from ``codec``, ``LimitExceeded`` from an operation, and
        cancellation.
        """
        started = perf_counter()
        status = "cancelled"
        detail: str | None = None
        arguments: object = None
        checked: Any = None
        reply: dict[str, object] | None = None
        span = None if execution.span is None else _traced(execution, execution.span, operation)
        try:
            try:
                if operation.capability not in execution.granted:
                    _deny(operation)
                arguments = codec.decode(request)
                del request  # the call may wait for long, here and below
                checked = _validated(operation, arguments)
                if execution.deadline <= monotonic():
                    _refuse_late(execution, operation)
                if execution.recorded_bytes_left <= 0:
                    arguments = None
                try:
                    value = await operation.run(execution, checked)
                    if isinstance(value, Listing):
                        reply = {"ok": await self._listed(execution, value, codec)}
                    else:
                        reply = {"ok": value.members if type(value) is Members else operation.dump(value)}
                except (TimeoutError, DeadlineExceeded):
                    _refuse_late(execution, operation)
                encoded = codec.encode(reply)
                status = "ok"
            except HostCallError as error:
                status, detail = error.host_code.value, error.detail
                reply = self._refused(execution, operation, checked, error)
            except ExecutionError as error:
                status = "breach" if isinstance(error, AbiBreach) else error.code
                reply = None
                raise
            except Exception as error:  # noqa: BLE001 - a fault of the host is a value for the guest
                status = HostCallCode.INTERNAL.value
                detail = unexpected(error)
                reply = _failed_inside(operation)
            else:
                return encoded
            return codec.encode(reply)
        finally:
            duration_s, calls = perf_counter() - started, execution.host_calls
            kept = _kept(execution, arguments, reply) if execution.recorded_bytes_left > 0 else None
            calls.append(
                HostCallRecord(
                    len(calls) + 1, operation.name, status, *(kept or _NOTHING), duration_s, kept is None
                )
            )
            if span is not None:
                span.end(status)
            self._telemetry.host_call(operation.name, status, duration_s, execution.context, detail)

    def _refused(
        self, execution: Execution, operation: Operation[Any, Any], checked: Any, error: HostCallError
    ) -> dict[str, object]:
        """The envelope of a refusal, reported if it is an operator's mistake."""
        if error.fault is not None:
            self._telemetry.server_fault(error.fault, error.detail)
        return _envelope(error, retryable=_retryable(error.host_code, execution, operation, checked))

    async def _listed(
        self, execution: Execution, listing: Listing, codec: Codec[Any, Any]
    ) -> dict[str, object]:
        """The output, written an item at a time where they are large, in turns of the tenant's."""
        items: list[object] = []
        kept = execution.recorded_bytes_left > 0
        async for page in listing.pages:
            if not page.large:
                items.extend(map(_plain, page.schedules))
                continue
            for item in page.schedules:

                def write(item: BaseModel = item) -> object:
                    return _plain(item) if kept else codec.piece(_plain(item))

                items.append(await self._large_work.run(execution.context.tenant_id, write))
        return {listing.member: items}


def _plain(item: BaseModel) -> object:
    return item.model_dump(by_alias=True, exclude_none=True)


_NOTHING = (None, None)


def _kept(execution: Execution, arguments: object, reply: object) -> tuple[object, object] | None:
    """Both as the record keeps them, without secrets; ``None`` beyond what the execution's records may keep."""
    budget = execution.recorded_bytes_left
    arguments, reply = execution.secrets.hide(arguments), execution.secrets.hide(reply)
    left = budget - weight(arguments, budget) - weight(reply, budget)
    execution.recorded_bytes_left = max(0, left)
    return None if left < 0 else (arguments, reply)


def _validated(operation: Operation[Any, Any], arguments: object) -> Any:
    """The operation's input."""
    if arguments is None and not operation.takes_input:
        arguments = {}
    if not isinstance(arguments, dict):
        raise HostCallError(
            HostCallCode.VALIDATION_FAILED, f"{operation.name} takes a map, not {_kind(arguments)}."
        )
    try:
        return operation.validate(arguments)
    except ValidationError as error:
        faults = field_errors(error, operation.input)
        raise HostCallError(
            HostCallCode.VALIDATION_FAILED,
            f"{operation.name} cannot use its input: "
            + "; ".join(f"{field}: {fault}" for field, fault in faults.items()),
            field_errors=faults,
        ) from None


def _traced(execution: Execution, parent: ExecutionSpan, operation: Operation[Any, Any]) -> HostCallSpan:
    """The call's span, which requests to the Alga server name from now on."""
    span = parent.host_call(operation.name)
    execution.trace(span.headers)
    return span


def _failed_inside(operation: Operation[Any, Any]) -> dict[str, object]:
    return _envelope(
        HostCallError(
            HostCallCode.INTERNAL,
            f"{operation.name} failed inside the runner; the operator's log has the reason.",
        )
    )


def _deny(operation: Operation[Any, Any]) -> NoReturn:
    raise HostCallError(
        HostCallCode.DENIED,
        f"Permission denied: {operation.capability} not granted; {operation.name} needs it.",
    )


def _refuse_late(execution: Execution, operation: Operation[Any, Any]) -> NoReturn:
    raise HostCallError(
        HostCallCode.TIMEOUT,
        f"The deadline of extension {execution.context.extension_id} passed before {operation.name} was answered.",
    ) from None


def _kind(value: object) -> str:
    return "nil" if value is None else type(value).__name__


_TRANSIENT = frozenset({HostCallCode.UNAVAILABLE, HostCallCode.TIMEOUT})


def _retryable(
    code: HostCallCode, execution: Execution, operation: Operation[Any, Any], checked: Any
) -> bool:
    """Whether the same call may succeed later, and does no harm if the first was carried out after all."""
    if code in _TRANSIENT:
        return checked is not None and operation.repeatable(execution, checked)
    return code is HostCallCode.RATE_LIMITED


def _envelope(error: HostCallError, *, retryable: bool = False) -> dict[str, object]:
    refusal: dict[str, object] = {"code": error.host_code.value, "message": str(error)}
    if error.field_errors:
        refusal["fieldErrors"] = error.field_errors
    if error.retry_after_ms is not None:
        refusal["retryAfterMs"] = error.retry_after_ms
    if retryable:
        refusal["retryable"] = True
    return {"err": refusal}


def field_errors(error: ValidationError, model: type[BaseModel]) -> dict[str, str]:
    """The first fault of each member of ``model``, keyed by its camelCase name, in plain words without its value.

    One inside of a member is keyed by its place: ``items.0.quantity``.
    """
    faults: dict[str, str] = {}
    for fault in error.errors(include_url=False, include_input=False):
        member, *inside = map(str, fault["loc"] or ("input",))
        field = model.model_fields.get(member)
        name = ".".join([(field.alias if field else None) or member, *inside])
        plain = _PLAIN.get(fault["type"])
        text = plain.format_map(fault.get("ctx", {})) if plain else fault["msg"]
        faults.setdefault(name, text[:1].upper() + text[1:])
    return faults


def unexpected(error: Exception) -> str:
    """Describe an unforeseen exception for operators: its type, where it was raised, and its text, cut.

    The text of a ``ValidationError`` quotes the input, so only the kinds of its faults are named.
    """
    frames = traceback.extract_tb(error.__traceback__, limit=-1)
    place = f" at {frames[0].name}:{frames[0].lineno}" if frames else ""
    if isinstance(error, ValidationError):
        text = ", ".join(fault["type"] for fault in error.errors(include_url=False, include_input=False))
    else:
        text = str(error)
    return f"{type(error).__name__}{place}: {text[:MAX_DETAIL_CHARACTERS]}"
