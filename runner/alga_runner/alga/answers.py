"""Reads the answers of an Alga server: values from good ones, a refusal with the server's words from bad ones."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TypeVar

from pydantic import TypeAdapter, ValidationError
from pydantic_core import from_json

from alga_common.http.exchange import Answer
from alga_common.text import cut

from ..errors import HostCallCode, HostCallError
from ..models import EndpointInfo, ScheduleInfo

MAX_MESSAGE_CHARACTERS = 1_000
MAX_FIELD_ERRORS = 32
MAX_FIELD_NAME_CHARACTERS = 64
MAX_RETRY_AFTER_S = 24 * 60 * 60

ValueT = TypeVar("ValueT")

_SCHEDULES = TypeAdapter(list[ScheduleInfo])
_SCHEDULE = TypeAdapter(ScheduleInfo | None)
_ENDPOINTS = TypeAdapter(list[EndpointInfo])

_BY_CODE = {
    "VALIDATION_FAILED": HostCallCode.VALIDATION_FAILED,
    "INVALID_INPUT": HostCallCode.VALIDATION_FAILED,
    "QUOTA_EXCEEDED": HostCallCode.QUOTA_EXCEEDED,
    "LIMIT_EXCEEDED": HostCallCode.QUOTA_EXCEEDED,
    "NOT_FOUND": HostCallCode.NOT_FOUND,
    "RATE_LIMITED": HostCallCode.RATE_LIMITED,
    "UNAUTHORIZED": HostCallCode.DENIED,
    "CAPABILITY_DENIED": HostCallCode.DENIED,
    "FORBIDDEN": HostCallCode.DENIED,
    "NOT_ALLOWED": HostCallCode.DENIED,
    "CONFLICT": HostCallCode.CONFLICT,
    "BODY_TOO_LARGE": HostCallCode.TOO_LARGE,
    "PAYLOAD_TOO_LARGE": HostCallCode.TOO_LARGE,
    "TIMEOUT": HostCallCode.TIMEOUT,
    "UNAVAILABLE": HostCallCode.UNAVAILABLE,
    "EE_REQUIRED": HostCallCode.UNAVAILABLE,
    "INTERNAL_ERROR": HostCallCode.INTERNAL,
}

_BY_STATUS = {
    400: HostCallCode.VALIDATION_FAILED,
    401: HostCallCode.DENIED,
    403: HostCallCode.DENIED,
    404: HostCallCode.NOT_FOUND,
    409: HostCallCode.CONFLICT,
    413: HostCallCode.TOO_LARGE,
    422: HostCallCode.VALIDATION_FAILED,
    429: HostCallCode.RATE_LIMITED,
    502: HostCallCode.UNAVAILABLE,
    503: HostCallCode.UNAVAILABLE,
    504: HostCallCode.TIMEOUT,
}

_BY_MESSAGE = {
    "Schedule not found": HostCallCode.NOT_FOUND,
    "Too many schedules": HostCallCode.QUOTA_EXCEEDED,
}
"""Refusals that Alga's server sends as 400 without a code (alga-contract 5.2 and 5.4), by how they begin."""


def document(answer: Answer) -> Mapping[str, object]:
    """The JSON object of a good answer. Raises the refusal in a bad one."""
    try:
        content = from_json(answer.body, allow_inf_nan=False)
    except ValueError:
        content = None
    if answer.status >= 400 or (isinstance(content, dict) and content.get("success") is False):
        raise _refusal(answer, content)
    if answer.status >= 300:
        raise unusable(f"is a redirect (HTTP {answer.status}), which is never followed")
    if not isinstance(content, dict):
        raise unusable("is not a JSON object")
    return content


def schedules(document: Mapping[str, object]) -> list[ScheduleInfo]:
    """The answer of ``list``; one schedule that cannot be read fails them all."""
    return _parse(_SCHEDULES, document, "schedules")


def schedule(document: Mapping[str, object]) -> ScheduleInfo | None:
    """The answer of ``get``."""
    return _parse(_SCHEDULE, document, "schedule")


def endpoints(document: Mapping[str, object]) -> list[EndpointInfo]:
    """The answer of ``getEndpoints``; one endpoint that cannot be read fails them all."""
    return _parse(_ENDPOINTS, document, "endpoints")


def created_id(document: Mapping[str, object]) -> str:
    """The answer of ``create``: the new schedule's id."""
    done(document)
    created = document.get("scheduleId", document.get("schedule_id"))
    if not isinstance(created, str) or not created:
        raise unusable("has no id of the created schedule")
    return created


def done(document: Mapping[str, object]) -> None:
    """The answer of ``update`` and ``delete``."""
    if document.get("success") is not True:
        raise unusable("does not confirm success")


def unusable(how: str) -> HostCallError:
    """An answer that cannot be used; ``how`` completes the sentence."""
    return HostCallError(HostCallCode.INTERNAL, f"The Alga server's answer {how}.")


def _refusal(answer: Answer, document: object) -> HostCallError:
    """The refusal in ``answer``: the server's message, field errors and code where it gave any."""
    members = document if isinstance(document, dict) else {}
    code, reason = members.get("code"), members.get("error")
    message = reason if isinstance(reason, str) else ""
    host_code = _BY_CODE.get(code.upper()) if isinstance(code, str) else None
    if host_code is None:
        host_code = next((known for text, known in _BY_MESSAGE.items() if message.startswith(text)), None)
    if host_code is None:
        # A 2xx with ``success: false`` is a refused request, too; the status does not show it.
        host_code = _BY_STATUS.get(400 if answer.status < 300 else answer.status, HostCallCode.INTERNAL)
    wait_s = answer.retry_after_s()
    return HostCallError(
        host_code,
        _bounded(message) or f"The Alga server answered with HTTP {answer.status} and no reason.",
        field_errors=_field_errors(members),
        retry_after_ms=None if wait_s is None else min(wait_s, MAX_RETRY_AFTER_S) * 1000,
    )


def _parse(adapter: TypeAdapter[ValueT], document: Mapping[str, object], member: str) -> ValueT:
    if member not in document:
        raise unusable(f"has no {member}")
    try:
        return adapter.validate_python(document[member])
    except ValidationError as error:
        fault = error.errors(include_url=False, include_input=False)[0]
        place = ".".join(str(part) for part in (member, *fault["loc"]))
        raise unusable(f"has a wrong shape at {place[:MAX_FIELD_NAME_CHARACTERS]}") from None


def _field_errors(members: Mapping[str, object]) -> dict[str, str]:
    """``fieldErrors``, or ``details.fieldErrors``, whose messages may come in lists (alga-contract 5.1)."""
    errors = members.get("fieldErrors")
    details = members.get("details")
    if not isinstance(errors, dict) and isinstance(details, dict):
        errors = details.get("fieldErrors")
    if not isinstance(errors, dict):
        return {}
    faults: dict[str, str] = {}
    for name, fault in list(errors.items())[:MAX_FIELD_ERRORS]:
        text = (
            "; ".join(part for part in fault if isinstance(part, str)) if isinstance(fault, list) else fault
        )
        if isinstance(text, str) and text:
            faults[name[:MAX_FIELD_NAME_CHARACTERS]] = _bounded(text)
    return faults


def _bounded(text: str) -> str:
    return cut(text, MAX_MESSAGE_CHARACTERS)
