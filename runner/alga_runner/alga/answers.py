"""Reads the answers of an Alga server: values from good ones, a refusal with the server's words from bad ones."""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping
from functools import partial
from typing import TypeVar

from pydantic import TypeAdapter, ValidationError

from alga_common.http.exchange import Answer
from alga_common.text import cut, escape_controls

from ..errors import HostCallCode, HostCallError, ServerFault
from ..models import EndpointInfo, ScheduleInfo
from .calls import SCHEDULER, STORAGE, ServerCall
from .json_pieces import Replaced, read_json

MAX_MESSAGE_CHARACTERS = 1_000
MAX_FIELD_ERRORS = 32
MAX_FIELD_NAME_CHARACTERS = 64

MAX_FACT_CHARACTERS = 64
"""Characters of a header of an answer that an operator is shown."""
MAX_SHOWN_CHARACTERS = 100
"""Characters of a body that an operator is shown."""
MAX_LOOKED_AT = 16 * 1024
"""Bytes of a body in which secrets are looked for before its first characters are shown."""

ValueT = TypeVar("ValueT")

_SCHEDULES = TypeAdapter(list[ScheduleInfo])
_SCHEDULE = TypeAdapter(ScheduleInfo | None)
_LISTED_SCHEDULE = TypeAdapter(ScheduleInfo)
_ENDPOINTS = TypeAdapter(list[EndpointInfo])

_BY_CODE = {
    "VALIDATION_FAILED": HostCallCode.VALIDATION_FAILED,
    "INVALID_INPUT": HostCallCode.VALIDATION_FAILED,
    "QUOTA_EXCEEDED": HostCallCode.QUOTA_EXCEEDED,
    "LIMIT_EXCEEDED": HostCallCode.TOO_LARGE,
    "NOT_FOUND": HostCallCode.NOT_FOUND,
    "RATE_LIMITED": HostCallCode.RATE_LIMITED,
    "EXECUTION_TOKEN_INVALID": HostCallCode.DENIED,
    "CAPABILITY_DENIED": HostCallCode.DENIED,
    "FORBIDDEN": HostCallCode.DENIED,
    "NOT_ALLOWED": HostCallCode.DENIED,
    "NAMESPACE_DENIED": HostCallCode.DENIED,
    "CONFLICT": HostCallCode.CONFLICT,
    "REVISION_MISMATCH": HostCallCode.CONFLICT,
    "BODY_TOO_LARGE": HostCallCode.TOO_LARGE,
    "PAYLOAD_TOO_LARGE": HostCallCode.TOO_LARGE,
    "TIMEOUT": HostCallCode.TIMEOUT,
    "UNAVAILABLE": HostCallCode.UNAVAILABLE,
    "EE_REQUIRED": HostCallCode.UNAVAILABLE,
    "INTERNAL_ERROR": HostCallCode.INTERNAL,
}
"""The API's codes, in capitals (alga-contract 5.1). Servers and proxies that are not it spell theirs otherwise."""

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
"""Refusals of the API without a code that is known."""

_BY_ANY_ROUTE = frozenset({403, 404})
"""Statuses that any route and proxy gives: they are the API's only with a code that is known, or ``success: false``."""

_BY_ANY_SENDER = {
    413: HostCallCode.TOO_LARGE,
    429: HostCallCode.RATE_LIMITED,
    504: HostCallCode.TIMEOUT,
}
"""What a status means whichever server sends it; any other foreign answer is ``unavailable``."""

_NO_INSTALL = "Install not found"

_BY_MESSAGE = {
    _NO_INSTALL: HostCallCode.NOT_FOUND,
    "Schedule not found": HostCallCode.NOT_FOUND,
    "Too many schedules": HostCallCode.QUOTA_EXCEEDED,
}
"""Refusals that Alga's server sends without a code (alga-contract 4, 5.2 and 5.4), by how they begin."""


def document(
    answer: Answer, call: ServerCall, secrets: Collection[str] = (), content: object = ...
) -> Mapping[str, object]:
    """The JSON object of a good answer to ``call``. Raises the refusal in a bad one.

    ``content`` is the JSON in its body, if that was read already.

    An answer that is not the API's is ``unavailable``, with what came back for the operator, without ``secrets``. Where
    there is no route for a group besides the scheduler's, which every Alga server has, the operation is
    ``unsupported``.
    """
    content = read_json(answer.body) if content is ... else content
    members = content if isinstance(content, dict) else {}
    if 200 <= answer.status < 300 and members.get("success") is not False and call.member in members:
        return members
    if call.group == STORAGE and members.get("success") is False and not {"error", "code"} & members.keys():
        # Nothing was deleted: no conflict, as Alga's runner has it (alga-contract 7, fault 25).
        raise HostCallError(HostCallCode.NOT_FOUND, "There was no such key.")
    if _refuses_the_token(answer, members, call):
        raise HostCallError(
            HostCallCode.UNAVAILABLE,
            "The Alga server does not accept this runner's calls; its operator's log has the reason.",
            fault=ServerFault.UNAUTHORIZED,
            detail=_what_came_back(answer, content, secrets),
        )
    if refusal := _refusal(answer, members):
        raise refusal
    came_back = _what_came_back(answer, content, secrets)
    if answer.status == 404 and call.group != SCHEDULER:
        raise HostCallError(
            HostCallCode.UNSUPPORTED, f"The Alga server has no route for {call.group}.", detail=came_back
        )
    raise HostCallError(
        _BY_ANY_SENDER.get(answer.status, HostCallCode.UNAVAILABLE),
        f"HTTP {answer.status} is not an answer of the Alga server's API; the operator's log has what came back.",
        retry_after_ms=_retry_after_ms(answer),
        fault=ServerFault.UNUSABLE_ANSWER,
        detail=came_back,
    )


def parsed(adapter: TypeAdapter[ValueT], document: Mapping[str, object], member: str | None = None) -> ValueT:
    """What ``adapter`` reads of an answer, or of one member of it; an item that cannot be read fails them all."""
    try:
        return adapter.validate_python(document if member is None else document[member])
    except ValidationError as error:
        fault = error.errors(include_url=False, include_input=False)[0]
        place = ".".join(str(part) for part in (member, *fault["loc"]) if part is not None)
        raise unusable(f"has a wrong shape at {place[:MAX_FIELD_NAME_CHARACTERS]}") from None


def schedules(document: Mapping[str, object]) -> list[ScheduleInfo]:
    """The answer of ``list``; one schedule that cannot be read fails them all."""
    return parsed(_SCHEDULES, document, "schedules")


def unread_schedules(document: Mapping[str, object]) -> list[Callable[[], ScheduleInfo]]:
    """The answer of ``list``, each schedule to be read by a call of its own: large ones take milliseconds."""
    listed = document["schedules"]
    if not isinstance(listed, list):
        return [partial(parsed, _LISTED_SCHEDULE, document, "schedules")]
    return [
        partial(parsed, _LISTED_SCHEDULE, {place: item}, place)
        for place, item in ((f"schedules.{number}", item) for number, item in enumerate(listed))
    ]


def next_cursor(document: Mapping[str, object]) -> str | None:
    """The cursor of the page that follows; ``None`` after the last."""
    cursor = document.get("nextCursor")
    return cursor if isinstance(cursor, str) else None


def schedule(document: Mapping[str, object]) -> ScheduleInfo | None:
    """The answer of ``get``."""
    return parsed(_SCHEDULE, document, "schedule")


def stored(document: Mapping[str, object], names: Collection[str]) -> dict[str, object] | None:
    """The members ``names`` of the schedule in the answer of ``get``, exactly as they are stored; ``None`` for none."""
    members = document["schedule"]
    if members is None:
        return None
    if not isinstance(members, dict):
        raise unusable("has a wrong shape at schedule")
    if absent := sorted(set(names) - members.keys()):
        raise unusable(f"to get has no {absent[0]}, which an update would clear; nothing was changed")
    if isinstance(document, Replaced):
        raise HostCallError(
            HostCallCode.CONFLICT,
            "The stored name or payload cannot be read exactly, and an update would clear what it lacks; give both.",
        )
    return {name: members[name] for name in names}


def endpoints(document: Mapping[str, object]) -> list[EndpointInfo]:
    """The answer of ``getEndpoints``; one endpoint that cannot be read fails them all."""
    return parsed(_ENDPOINTS, document, "endpoints")


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


def unusable(how: str, code: HostCallCode = HostCallCode.INTERNAL) -> HostCallError:
    """An answer that cannot be used; ``how`` completes the sentence."""
    message = f"The Alga server's answer {how}."
    return HostCallError(code, message, fault=ServerFault.UNUSABLE_ANSWER, detail=message)


def _refuses_the_token(answer: Answer, members: Mapping[str, object], call: ServerCall) -> bool:
    """Whether the runner's own token is refused: not the execution's, and not a capability.

    The storage route answers 401 for an install that is disabled, too (alga-contract 4).
    """
    code, error = members.get("code"), members.get("error")
    if call.group == STORAGE and isinstance(error, str) and "token" not in error.lower():
        return False
    return (answer.status == 401 and code != "EXECUTION_TOKEN_INVALID") or (
        answer.status == 403 and code == "UNAUTHORIZED"
    )


def _refusal(answer: Answer, members: Mapping[str, object]) -> HostCallError | None:
    """The API's refusal in ``answer``, with its message and field errors; ``None`` if it is not the API's.

    The API answers ``{error, code, details}``, or ``{success: false, error}`` (alga-contract 5.1 and 5.2).
    """
    # A 2xx with ``success: false`` is a refused request, too; the status does not show it.
    status = 400 if answer.status < 300 else answer.status
    code, error, failed = members.get("code"), members.get("error"), members.get("success") is False
    message = error if isinstance(error, str) else ""
    host_code = _BY_CODE.get(code) if isinstance(code, str) else None
    if (
        host_code is None
        and message
        and (
            failed
            or isinstance(code, str)
            or {"details", "fieldErrors"} & members.keys()
            or (status == 404 and message == _NO_INSTALL)
        )
    ):
        host_code = next((known for text, known in _BY_MESSAGE.items() if message.startswith(text)), None)
        if host_code is None and (failed or status not in _BY_ANY_ROUTE):
            host_code = _BY_STATUS.get(status, HostCallCode.INTERNAL)
    if host_code is None or status < 400:
        return None
    return HostCallError(
        host_code,
        cut(message, MAX_MESSAGE_CHARACTERS)
        or f"The Alga server answered with HTTP {answer.status} and no reason.",
        field_errors=_field_errors(members),
        retry_after_ms=_retry_after_ms(answer),
    )


def _retry_after_ms(answer: Answer) -> int | None:
    wait_s = answer.retry_after_s()
    return None if wait_s is None else wait_s * 1000


def _what_came_back(answer: Answer, content: object, secrets: Collection[str]) -> str:
    """The answer in words for an operator, on one line: no secret, and of JSON only the names of members."""

    def shown(text: str, limit: int = MAX_SHOWN_CHARACTERS) -> str:
        for secret in filter(None, secrets):
            text = text.replace(secret, "(secret)")
        return cut(text, limit)

    content_type = answer.headers.get("content-type", "no content type")
    facts = [f"HTTP {answer.status}", shown(content_type, MAX_FACT_CHARACTERS)]
    if location := answer.headers.get("location"):
        facts.append(
            f"location {shown(location.partition('?')[0], MAX_FACT_CHARACTERS)}"
        )  # a query may carry anything
    if isinstance(content, dict) and not isinstance(content.get("error"), str):
        facts.append(f"a JSON object with {shown(', '.join(content) or 'no members')}")
    elif content is not None and not isinstance(content, dict):
        facts.append(f"JSON, but not an object ({type(content).__name__})")
    else:
        text = content["error"] if content else answer.body[:MAX_LOOKED_AT].decode(errors="replace")
        facts.append(repr(shown(" ".join(text.split()))) if text else "no body")
    return escape_controls(", ".join(facts))


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
            faults[name[:MAX_FIELD_NAME_CHARACTERS]] = cut(text, MAX_MESSAGE_CHARACTERS)
    return faults
