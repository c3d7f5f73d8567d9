"""Reads an execute request: checks its body and headers, and names what is wrong with them."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterable
from typing import Any, TypeVar

from pydantic import BaseModel, ValidationError
from pydantic_core import from_json

from alga_common.text import escape_controls, is_unicode

from ..engine import this_thread
from ..models import ExecuteRequest
from .http import Exchange, Refused

M = TypeVar("M", bound=BaseModel)

MAX_FAULTS = 20
"""The most fields that an answer names."""

MAX_FIELD_CHARACTERS = 500
"""Characters of the place of a field, in a request that nests deeply."""

_JSON_TYPE = re.compile(rb"application/(?:[^;\s]+\+)?json\s*(?:;.*)?", re.IGNORECASE | re.DOTALL)
_MAX_NAME_CHARACTERS = 100
_PLAIN = {
    "missing": "required",
    "string_type": "must be a string",
    "int_type": "must be a whole number",
    "dict_type": "must be an object",
    "model_type": "must be an object",
    "list_type": "must be a list",
}


def require_json(exchange: Exchange) -> None:
    """Raise ``Refused`` 415 unless the request's content type is JSON."""
    if not _JSON_TYPE.fullmatch(exchange.by_name.get(b"content-type", b"")):
        raise Refused(415, "unsupported_media_type", "The request's content-type is not application/json.")


async def read_body(exchange: Exchange, *, limit: int, hold: Callable[[int], None], owner: str) -> bytes:
    """Read the whole body, when it is the turn of ``owner``.

    ``hold`` is called with the number of bytes before they are read, if ``content-length`` declares it, else with each
    piece. Raises ``Refused`` 413 past ``limit`` bytes, the errors of ``hold``, ``ClientGone``.
    """
    declared = exchange.by_name.get(b"content-length", b"")
    held = int(declared[:20]) if declared.isdigit() else 0
    if held > limit:
        raise _too_large(limit)
    hold(held)
    body = await exchange.read() if not exchange.body_complete else b""
    if exchange.body_complete and len(body) <= held <= limit:
        return body
    rest = bytearray()
    while True:
        rest += body
        if len(rest) > limit:
            raise _too_large(limit)
        if len(rest) > held:
            hold(len(rest) - held)
            held = len(rest)
        if exchange.body_complete:
            return bytes(rest)
        if not this_thread.loop_scheduler.may_start(owner):
            await this_thread.loop_scheduler.wait_to_start(owner)
        body = await exchange.read()


def parse_request(body: bytes, model: type[M], kind: str) -> M:
    """Parse ``body``. Raises ``Refused`` 400 for invalid JSON, and 422 for JSON that is not ``kind``."""
    try:
        document = from_json(body, allow_inf_nan=False)
    except ValueError as error:
        field = _half_of_a_pair(body)
        raise Refused(
            400,
            "invalid_json",
            f"The request's body is not JSON: {error}.",
            fields=None if field is None else {field: "holds half of a surrogate pair"},
        ) from None
    try:
        valid: M = model.__pydantic_validator__.validate_python(
            document, strict=True
        )  # as model_validate does
    except ValidationError as error:
        faults = error.errors(include_url=False, include_input=False, include_context=False)
    else:
        return valid
    fields = {
        ".".join(map(_name, fault["loc"])) or "body": _PLAIN.get(fault["type"], fault["msg"])
        for fault in faults[:MAX_FAULTS]
    }
    raise Refused(
        422,
        "request_invalid",
        f"The request's body is not {kind}: "
        + "; ".join(f"{field}: {fault}" for field, fault in fields.items())
        + ".",
        fields=fields,
    )


def _half_of_a_pair(body: bytes) -> str | None:
    """The field in which JavaScript escaped half of a surrogate pair, which no UTF-8 can hold; ``None`` without one."""
    try:
        pending = [("body", json.loads(body.decode()))]
    except (ValueError, RecursionError):
        return None
    while pending:
        field, value = pending.pop()
        if isinstance(value, str) and not is_unicode(value):
            return field
        members: Iterable[tuple[Any, Any]] = ()
        if isinstance(value, dict):
            members = value.items()
        elif isinstance(value, list):
            members = enumerate(value)
        for key, member in members:
            name = f"{field}.{_name(key)}"[-MAX_FIELD_CHARACTERS:].removeprefix("body.")
            if isinstance(key, str) and not is_unicode(key):
                return name
            pending.append((name, member))
    return None


def routing_fault(exchange: Exchange, request: ExecuteRequest) -> str | None:
    """The contract's error string if the headers that route a request are missing or do not match its body.

    ``missing_routing_headers`` (alga-contract 1.3, step 1), or ``routing_headers_mismatch``: upstream fetched the
    bundle for the headers' tenant and called the host for the body's (alga-contract 7, fault 2).
    """
    context, headers = request.context, exchange.by_name
    if (
        headers.get(b"x-alga-tenant") == context.tenant_id.encode()
        and headers.get(b"x-alga-extension") == context.extension_id.encode()
        and context.tenant_id
        and context.extension_id
        and not exchange.repeats
    ):
        return None
    mismatch = False
    for name, expected in (
        (b"x-alga-tenant", context.tenant_id),
        (b"x-alga-extension", context.extension_id),
    ):
        values = exchange.values(name)
        if not values or b"" in values:
            return "missing_routing_headers"
        mismatch |= values.count(expected.encode()) < len(values)
    return "routing_headers_mismatch" if mismatch else None


def _name(part: int | str) -> str:
    return escape_controls(str(part)[:_MAX_NAME_CHARACTERS])


def _too_large(limit: int) -> Refused:
    return Refused(413, "body_too_large", f"The request's body is larger than {limit} bytes.")
