"""From bytes to an execute request: bounded in size and time, told exactly what is wrong with it."""

from __future__ import annotations

import re
from collections.abc import Callable

import anyio
from pydantic import ValidationError
from pydantic_core import from_json

from alga_common.text import escape_controls

from ..engine import this_thread
from ..models import ExecuteRequest
from .http import Exchange, Refused

MAX_FAULTS = 20
"""Fields that an answer names; a request with more faults is told the first ones."""

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
    """Raise ``Refused`` 415 unless the request says that it carries JSON."""
    if not _JSON_TYPE.fullmatch(exchange.value(b"content-type")):
        raise Refused(415, "unsupported_media_type", "The request's content-type is not application/json.")


async def read_body(
    exchange: Exchange, *, limit: int, timeout_s: float, hold: Callable[[int], None], owner: str
) -> bytes:
    """The whole body, read in turns; ``hold`` is told how many bytes will be kept, before they come if that is known.

    Raises ``Refused`` 413 past ``limit`` bytes, 408 when it does not come, what ``hold`` raises, and ``ClientGone``.
    """
    declared = exchange.value(b"content-length")
    held = int(declared[:20]) if declared.isdigit() else 0
    if held > limit:
        raise _too_large(limit)
    hold(held)
    with anyio.move_on_after(timeout_s):
        body = bytearray()
        while not exchange.body_complete:
            if body and not this_thread.loop_scheduler.may_start(owner):
                await this_thread.loop_scheduler.wait_to_start(owner)
            body += await exchange.read()
            if len(body) > limit:
                raise _too_large(limit)
            if len(body) > held:
                hold(len(body) - held)
                held = len(body)
        return bytes(body)
    raise Refused(408, "request_timeout", f"The request's body did not arrive within {timeout_s:g} s.")


def parse_request(body: bytes) -> ExecuteRequest:
    """The request in ``body``. Raises ``Refused`` 400 for what is not JSON, 422 for what is no execute request."""
    try:
        document = from_json(body, allow_inf_nan=False)
    except ValueError as error:
        raise Refused(400, "invalid_json", f"The request's body is not JSON: {error}.") from None
    try:
        return ExecuteRequest.model_validate(document, strict=True)
    except ValidationError as error:
        faults = error.errors(include_url=False, include_input=False, include_context=False)
    fields = {
        ".".join(map(_name, fault["loc"])) or "body": _PLAIN.get(fault["type"], fault["msg"])
        for fault in faults[:MAX_FAULTS]
    }
    raise Refused(
        422,
        "request_invalid",
        "The request's body is not an execute request: "
        + "; ".join(f"{field}: {fault}" for field, fault in fields.items())
        + ".",
        fields=fields,
    )


def _name(part: int | str) -> str:
    return escape_controls(str(part)[:_MAX_NAME_CHARACTERS])


def _too_large(limit: int) -> Refused:
    return Refused(413, "body_too_large", f"The request's body is larger than {limit} bytes.")
