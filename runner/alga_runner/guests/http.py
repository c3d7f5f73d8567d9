"""The request a handler gets and the response it gives (guest ABI, "Messages")."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from operator import itemgetter
from urllib.parse import quote, urlencode

import pybase64
from msgspec import UNSET, Struct, UnsetType, defstruct, msgpack

from alga_common.http.semantics import STATUSES, TO_CALLER, is_header_name, may_have_body

from ..errors import AlgaError, InvalidResponse, RequestInvalid
from ..models import ExecuteRequest, ExecuteResponse, ExecutionContext, HttpCall
from ..models.guest_documents import MAX_RESPONSE_HEADERS
from ..models.members import MAX_URL, whole
from . import messages

_FORBIDDEN_IN_VALUE = re.compile(r"[\0\r\n]")
_USUAL_NAMES = frozenset(TO_CALLER)
"""Names of headers that need not be looked at, since nearly every response has them."""

_CONTEXT_FIELDS = [field for field in ExecutionContext.model_fields if field != "content_hash"]
_context_values = itemgetter(*_CONTEXT_FIELDS)
_Context: Callable[..., Struct] = defstruct(
    "_Context",
    [(field, object, None) for field in _CONTEXT_FIELDS],
    rename="camel",
    omit_defaults=True,
    gc=False,
)
"""The request's context as guests see it, without the members that are ``None``."""


class _Header(Struct, gc=False):
    name: str
    value: str


class _Http(Struct, gc=False):
    method: str
    url: str
    headers: list[_Header]
    body: bytes | None


class _User(Struct, rename="camel", omit_defaults=True, gc=False):
    user_id: str
    user_email: str
    user_name: str
    user_type: str
    client_name: str
    client_id: str | None = None
    additional_fields: dict[str, str] | None = None


class _Request(Struct, omit_defaults=True, gc=False):
    context: Struct
    http: _Http
    user: _User | None = None


RESPONSE_OVERHEAD_BYTES = 256 * 1024
"""Room in a response for its status and headers, in addition to the body."""


def encode_request(request: ExecuteRequest, *, max_body_bytes: int) -> bytes:
    """The request document for a guest. Raises ``BodyNotBase64``, or ``RequestInvalid`` for too large a body."""
    return encode_with_body(request, request_body(request, max_bytes=max_body_bytes))


def request_body(request: ExecuteRequest, *, max_bytes: int, setting: str = "max_body_bytes") -> bytes | None:
    """The body a guest is sent. Raises ``BodyNotBase64``, or ``RequestInvalid`` for one beyond ``setting``."""
    body = request.http.body()
    if body is not None and len(body) > max_bytes:
        raise RequestInvalid(
            f"The body of the request has {len(body)} bytes; {max_bytes} are allowed.",
            hint=f"See {setting}.",
        )
    return body


TRIGGER_HEADERS = {
    "x-alga-trigger": "trigger",
    "x-alga-schedule-id": "schedule_id",
    "x-alga-nominal-time": "nominal_time",
    "x-alga-attempt": "attempt",
}
"""Request headers that tell a component what it runs for, and the members of the context that they are from.

The world has no other place for them. A caller cannot set them.
"""


def plain_request(request: ExecuteRequest, body: bytes | None) -> dict[str, object]:
    """The request for a component, as plain values with camelCase keys."""
    context, http = request.context, request.http
    headers = [
        {"name": name, "value": value}
        for name, value in http.header_pairs()
        if name.strip().lower() not in TRIGGER_HEADERS
    ]
    for name, member in TRIGGER_HEADERS.items():
        value = getattr(context, member)
        if value is not None:
            headers.append({"name": name, "value": str(value)})
    return {
        "context": {
            "requestId": context.request_id,
            "tenantId": context.tenant_id,
            "extensionId": context.extension_id,
            "installId": context.install_id,
            "versionId": context.version_id,
        },
        "http": {"method": http.method, "url": _url(http), "headers": headers, "body": body},
    }


def _url(http: HttpCall) -> str:
    """Path and query. A space is ``%20``: every decoder reads that, and not every one reads ``+``."""
    if not http.query:
        return http.path
    # Encoding makes text no shorter: one that is too long already is not encoded.
    _require_short_url(len(http.path) + sum(map(len, http.query)) + sum(map(len, http.query.values())))
    query = urlencode(http.query, errors="replace", quote_via=quote)
    url = http.path + ("&" if "?" in http.path else "?") + query
    _require_short_url(len(url))
    return url


def _require_short_url(length: int) -> None:
    if length > MAX_URL:
        raise RequestInvalid(f"The URL of the request has {length} characters; {MAX_URL} are allowed.")


def encode_with_body(request: ExecuteRequest, body: bytes | None) -> bytes:
    """The request document for a guest, with ``body``."""
    context, http = request.context, request.http
    headers = [_Header(name, value) for name, value in http.header_pairs()]
    user = request.user
    return messages.encode(
        _Request(
            _Context(*_context_values(context.__dict__)),
            _Http(http.method, _url(http) if http.query else http.path, headers, body),
            None
            if user is None
            else _User(
                user.user_id,
                user.user_email,
                user.user_name,
                user.user_type,
                user.client_name,
                user.client_id,
                user.additional_fields,
            ),
        )
    )


class _Response(Struct, omit_defaults=True, gc=False):
    """The members of nearly every response, in their usual order. Others are lost, and noticed (``is_encoding_of``)."""

    status: int
    headers: list[_Header] | UnsetType = UNSET
    body: bytes | UnsetType | None = UNSET


_decode = msgpack.Decoder(_Response).decode

_make_response = ExecuteResponse.__pydantic_validator__.validate_python
"""Makes a response of its members, as the class does, in half of the time."""


def _plain_response(data: bytes, *, max_body_bytes: int, max_items: int) -> ExecuteResponse | None:
    """The response in ``data`` if it holds what nearly all do, and breaks no rule."""
    try:
        response = _decode(data)
        if not messages.is_encoding_of(data, response):
            return None
    except Exception:  # noqa: BLE001 - decode_response finds the fault
        return None
    body = response.body if isinstance(response.body, bytes) else None
    listed = response.headers if isinstance(response.headers, list) else ()
    if response.status not in STATUSES or len(listed) > min(MAX_RESPONSE_HEADERS, max_items - 2):
        return None
    headers: dict[str, str] = {}
    for header in listed:
        if (
            header.name not in _USUAL_NAMES and not is_header_name(header.name)
        ) or _FORBIDDEN_IN_VALUE.search(header.value):
            return None
        headers[header.name] = header.value
    repeated = len(listed) > 1 and len({name.lower() for name in headers}) < len(listed)
    if repeated or (body is not None and len(body) > max_body_bytes):
        return None
    encoded = None if body is None else pybase64.b64encode_as_string(body)
    plain: ExecuteResponse = _make_response(
        {"status": response.status, "headers": headers, "body_b64": encoded}
    )
    return plain


def decode_response(data: bytes, *, max_body_bytes: int, max_items: int) -> ExecuteResponse:
    """The response in a guest's document. Raises ``InvalidResponse``, which names the fault."""
    if len(data) <= RESPONSE_OVERHEAD_BYTES:
        plain = _plain_response(data, max_body_bytes=max_body_bytes, max_items=max_items)
        if plain is not None:
            return plain
    elif messages.bytes_without_binary(data) > RESPONSE_OVERHEAD_BYTES:
        raise InvalidResponse(
            f"The guest's response has more than {RESPONSE_OVERHEAD_BYTES} bytes apart from its body."
        )
    try:
        document = messages.decode(data, max_items=max_items)
    except AlgaError as error:
        raise InvalidResponse(f"The guest's response cannot be read: {error}", hint=error.hint) from None
    if not isinstance(document, dict):
        raise InvalidResponse(f"The guest's response is {messages.kind(document)}, not a map.")
    return response_of(document, max_body_bytes=max_body_bytes)


def response_of(
    document: Mapping[str, object], *, max_body_bytes: int, setting: str = "max_body_bytes"
) -> ExecuteResponse:
    """The response that a guest gave as plain values. Raises ``InvalidResponse``, which names the fault."""
    status, body = whole(document.get("status")), document.get("body")
    if status is None:
        raise InvalidResponse("The guest's response has no status.")
    if type(status) is not int or status not in STATUSES:
        raise InvalidResponse(
            f"The status of the guest's response is {status if type(status) is int else messages.kind(status)},"
            f" not an integer from {STATUSES[0]} to {STATUSES[-1]}."
        )
    if body is not None and not isinstance(body, bytes):
        raise InvalidResponse(
            f"The body of the guest's response is {messages.kind(body)}, not binary or nil.",
        )
    if body is not None and len(body) > max_body_bytes:
        raise InvalidResponse(
            f"The body of the guest's response has {len(body)} bytes; {max_body_bytes} are allowed.",
            hint=f"See {setting}.",
        )
    encoded = None if body is None else pybase64.b64encode_as_string(body)
    pairs = _headers(document.get("headers"))
    headers = _last_of_each(pairs)
    repeats = pairs if len(headers) < len(pairs) else None
    return ExecuteResponse(status=status, headers=headers, body_b64=encoded, header_list=repeats)


def without_forbidden_body(response: ExecuteResponse, method: str) -> ExecuteResponse:
    """``response`` to a request of ``method``, without a body where HTTP has none."""
    if response.body_b64 is None or may_have_body(method, response.status):
        return response
    return response.model_copy(update={"body_b64": None})


def _last_of_each(pairs: list[tuple[str, str]]) -> dict[str, str]:
    """Name to value; of a name given twice, in any case, the last wins, case is kept (alga-contract 1.2)."""
    headers: dict[str, str] = {}
    spelled: dict[str, str] = {}
    for name, value in pairs:
        headers.pop(spelled.get(name.lower(), name), None)
        spelled[name.lower()] = name
        headers[name] = value
    return headers


def _headers(listed: object) -> list[tuple[str, str]]:
    """Name and value of each header. Raises ``InvalidResponse``."""
    if listed is None:
        return []
    if not isinstance(listed, list):
        raise InvalidResponse(
            f"The headers of the guest's response are {messages.kind(listed)}, not an array of {{name, value}}."
        )
    if len(listed) > MAX_RESPONSE_HEADERS:
        raise InvalidResponse(
            f"The guest's response has {len(listed)} headers; at most {MAX_RESPONSE_HEADERS} are allowed."
        )
    pairs: list[tuple[str, str]] = []
    for position, header in enumerate(listed):
        name = header.get("name") if isinstance(header, dict) else None
        value = header.get("value") if isinstance(header, dict) else None
        if not isinstance(name, str) or not isinstance(value, str):
            raise InvalidResponse(f"Header {position} of the guest's response has no name and value.")
        if not is_header_name(name):
            raise InvalidResponse(
                f"Header {position} of the guest's response has a name that HTTP does not allow."
            )
        if _FORBIDDEN_IN_VALUE.search(value):
            raise InvalidResponse(f"The header {name} of the guest's response holds a line break or a null.")
        pairs.append((name, value))
    return pairs
