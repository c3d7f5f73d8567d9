"""The one gate of every host call, whichever ABI the guest speaks: capability, input, operation, reply, record."""

from __future__ import annotations

from collections.abc import Mapping
from time import monotonic, perf_counter
from typing import Any, NoReturn, Protocol, TypeVar

from pydantic import ValidationError

from ..errors import AbiBreach, DeadlineExceeded, ExecutionError, HostCallCode, HostCallError
from ..telemetry import Telemetry
from .operation import Execution, HostCallRecord, Operation
from .refusal import field_errors, unexpected
from .weight import weight

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


class Gate:
    """Lets a guest's call through to an operation, or says why not; each call leaves one log line, metric and record.

    It opens no deadline of its own: the execution's scope spans it, and operations are told when to be done.
    """

    def __init__(self, telemetry: Telemetry) -> None:
        self._telemetry = telemetry

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
        reply: dict[str, object] | None = None
        try:
            try:
                if operation.capability not in execution.granted:
                    _deny(operation)
                arguments = codec.decode(request)
                value = await _run(execution, operation, arguments)
                reply = {"ok": operation.dump(value)}
                encoded = codec.encode(reply)
                status = "ok"
            except HostCallError as error:
                status = error.host_code.value
                reply = _envelope(error)
                encoded = codec.encode(reply)
            except ExecutionError as error:
                status = "breach" if isinstance(error, AbiBreach) else error.code
                reply = None
                raise
            except Exception as error:  # noqa: BLE001 - a fault of the host is a value for the guest
                status = HostCallCode.INTERNAL.value
                detail = unexpected(error)
                reply = _envelope(
                    HostCallError(
                        HostCallCode.INTERNAL,
                        f"{operation.name} failed inside the runner; the operator's log says why.",
                    )
                )
                encoded = codec.encode(reply)
            return encoded
        finally:
            self._record(
                execution,
                operation,
                status=status,
                arguments=arguments,
                reply=reply,
                duration_s=perf_counter() - started,
                detail=detail,
            )

    def _record(
        self,
        execution: Execution,
        operation: Operation[Any, Any],
        *,
        status: str,
        arguments: object,
        reply: object,
        duration_s: float,
        detail: str | None,
    ) -> None:
        budget = execution.recorded_bytes_left
        elided = budget <= 0 or (left := budget - weight(arguments, budget) - weight(reply, budget)) < 0
        if elided:
            arguments = reply = None
            execution.recorded_bytes_left = 0
        else:
            execution.recorded_bytes_left = left
        calls = execution.host_calls
        calls.append(
            HostCallRecord(len(calls) + 1, operation.name, status, arguments, reply, duration_s, elided)
        )
        identity = execution.identity
        self._telemetry.host_call(
            operation.name,
            status,
            duration_s,
            tenant=identity.tenant_id,
            install=identity.install_id,
            extension=identity.extension_id,
            version=execution.version_id,
            request_id=identity.request_id,
            detail=detail,
        )


async def _run(execution: Execution, operation: Operation[Any, Any], arguments: object) -> Any:
    if arguments is None and not operation.takes_input:
        arguments = {}
    if not isinstance(arguments, dict):
        raise HostCallError(
            HostCallCode.VALIDATION_FAILED, f"{operation.name} takes a map, not {_kind(arguments)}."
        )
    try:
        checked = operation.validate(arguments)
    except ValidationError as error:
        faults = field_errors(error, operation.input)
        raise HostCallError(
            HostCallCode.VALIDATION_FAILED,
            f"{operation.name} cannot use its input: "
            + "; ".join(f"{field}: {fault}" for field, fault in faults.items()),
            field_errors=faults,
        ) from None
    if execution.deadline <= monotonic():
        raise _too_late(execution, operation)
    try:
        return await operation.run(execution, checked)
    except (TimeoutError, DeadlineExceeded):
        raise _too_late(execution, operation) from None


def _deny(operation: Operation[Any, Any]) -> NoReturn:
    raise HostCallError(
        HostCallCode.DENIED,
        f"Permission denied: {operation.capability} not granted; {operation.name} needs it.",
    )


def _too_late(execution: Execution, operation: Operation[Any, Any]) -> HostCallError:
    return HostCallError(
        HostCallCode.TIMEOUT,
        f"The deadline of extension {execution.identity.extension_id} passed before {operation.name} was answered.",
    )


def _kind(value: object) -> str:
    return "nil" if value is None else type(value).__name__


def _envelope(error: HostCallError) -> dict[str, object]:
    refusal: dict[str, object] = {"code": error.host_code.value, "message": str(error)}
    if error.field_errors:
        refusal["fieldErrors"] = error.field_errors
    if error.retry_after_ms is not None:
        refusal["retryAfterMs"] = error.retry_after_ms
    return {"err": refusal}
