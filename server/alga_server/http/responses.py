"""Reading and refusing requests, the same on every surface: bounded bodies, single headers, constant-time tokens."""

from __future__ import annotations

import hmac
import json
from collections.abc import Callable, Mapping
from typing import Any, NoReturn

from fastapi.exceptions import RequestValidationError
from starlette.requests import ClientDisconnect, Request
from starlette.responses import JSONResponse

from alga_common.http.semantics import is_id

from ..errors import BodyTooLarge, ScheduleRemapFailed, ServerError, ValidationFailed

_encode = json.JSONEncoder(allow_nan=False, separators=(",", ":")).encode
"""Made once: ``json.dumps`` makes an encoder for each text that is not of its default form."""


def json_bytes(content: Any) -> bytes:
    """Return JSON in ASCII, so that half a surrogate pair, which UTF-8 cannot hold, leaves as it arrived.

    ``bytes`` are JSON already.
    """
    if isinstance(content, bytes):
        return content
    return _encode(content).encode("ascii")


class Answer(JSONResponse):
    """JSON as ``json_bytes`` writes it."""

    def render(self, content: Any) -> bytes:
        """Return the body."""
        return json_bytes(content)


def answer_error(error: ServerError) -> Answer:
    """Return the answer ``{error, code, details}``, with ``fieldErrors`` or ``missing`` if there are any."""
    body: dict[str, Any] = {"error": str(error), "code": error.code, "details": None}
    if isinstance(error, ValidationFailed) and error.field_errors:
        body["fieldErrors"] = error.field_errors
    if isinstance(error, ScheduleRemapFailed):
        body["missing"] = error.missing
    headers = None if error.retry_after_s is None else {"retry-after": str(error.retry_after_s)}
    return Answer(body, status_code=error.http_status, headers=headers)


def validation_failed(error: RequestValidationError) -> ValidationFailed:
    """Return the refusal of a request that breaks its route's declaration: every field with pydantic's message."""
    fields = {".".join(map(str, fault["loc"][1:])): fault["msg"] for fault in error.errors()}
    return ValidationFailed(field_errors=fields, schema=True)


def bearer_is(request: Request, expected: str | None) -> bool:
    """Return whether the request has ``authorization: Bearer`` with the secret; never if none is configured."""
    return expected is not None and bearer_name(request, {"": expected}) is not None


def bearer_name(request: Request, tokens: Mapping[str, str]) -> str | None:
    """Return the name of the token in ``authorization: Bearer``; ``None`` for one that has no name.

    It takes as long for one token as for another.
    """
    scheme, _, given = request.headers.get("authorization", "").partition(" ")
    names = [name for name, token in tokens.items() if same_secret(given.strip(), token)]
    return names[0] if names and scheme.lower() == "bearer" else None


def same_secret(given: str, expected: str | None) -> bool:
    """Return whether ``given`` is the secret, in constant time; never if none is configured."""
    return expected is not None and hmac.compare_digest(given.encode(), expected.encode())


def single_header(request: Request, name: str) -> str | None:
    """Return the header's value if it was sent once, in 1 to 128 printable ASCII characters, else ``None``."""
    values = request.headers.getlist(name)
    return values[0] if len(values) == 1 and is_id(values[0]) else None


async def read_body(request: Request, limit: int, hold: Callable[[int], None] | None = None) -> bytes:
    """Read the body. Raises ``BodyTooLarge`` beyond ``limit`` bytes, ``ValidationFailed`` if it is incomplete.

    ``hold`` is called with the bytes of each piece before it is added, and may raise.
    """
    body = bytearray()
    try:
        async for chunk in request.stream():
            if hold is not None:
                hold(len(chunk))
            body += chunk
            if len(body) > limit:
                raise BodyTooLarge(f"Request body too large (max {limit} bytes)")
    except ClientDisconnect:
        raise ValidationFailed("Incomplete request body") from None
    return bytes(body)


async def read_json_object(request: Request, limit: int) -> dict[str, Any]:
    """Read the body as a JSON object, of any content type. Raises ``ValidationFailed``, ``BodyTooLarge``."""
    body = await read_body(request, limit)
    try:
        value = _decode(body.decode())
    except (ValueError, RecursionError):
        raise ValidationFailed("Invalid JSON body") from None
    if not isinstance(value, dict):
        raise ValidationFailed("Invalid JSON body")
    return value


def _no_constant(name: str) -> NoReturn:
    raise ValueError(f"{name} is not JSON")


_decode = json.JSONDecoder(parse_constant=_no_constant).decode
