"""The documents that a host and a guest exchange besides those of operations (guest ABI, "Messages").

The runner reads and writes them without these models, which would cost more than the rest of an execution; tests
compare. ``guest-abi/schema`` derives from them.
"""

from __future__ import annotations

from typing import Annotated, Any

from pydantic import Field, RootModel, WithJsonSchema

from alga_common.http.semantics import STATUSES

from ..errors import HostCallCode
from ._base import CamelModel
from .members import FROM_FLOAT, MAX_MEMBERS, MAX_URL, Counter, Natural, ScheduleId, Text, TextMap

MAX_BODY_BYTES = 16 * 1024 * 1024
MAX_RESPONSE_HEADERS = 256

BINARY_SCHEMA = {"$comment": "bytes"}
"""In a JSON schema: bytes, which ``guest-abi/schema`` describes."""

_Id = Annotated[str, Field(max_length=512)]
_Instant = Annotated[
    str, Field(pattern=r"^[0-9]{4}-[0-9]{2}-[0-9]{2}T[0-9]{2}:[0-9]{2}:[0-9]{2}\.[0-9]{3}Z$")
]

Binary = Annotated[bytes, Field(max_length=MAX_BODY_BYTES), WithJsonSchema(BINARY_SCHEMA)]


class ContextInfo(CamelModel):
    """Whose execution it is, and why it runs. A member that has no value is absent."""

    request_id: Annotated[str, Field(max_length=128)] | None = Field(
        default=None, description="of this execution, visible ASCII as all ids"
    )
    tenant_id: Annotated[str, Field(max_length=128)] = Field(
        description="letters, digits, and `. _ -` after the first"
    )
    extension_id: _Id
    install_id: _Id | None = Field(default=None, description="absent where the extension is not installed")
    version_id: _Id | None = Field(default=None, description="the installed version")
    config: TextMap = Field(description="the install's configuration")
    trigger: Text | None = Field(
        default=None, description="`schedule` when one fired, `run_now` where an admin fired it"
    )
    schedule_id: ScheduleId | None = Field(default=None, description="which schedule")
    nominal_time: _Instant | None = Field(default=None, description="when it was due, RFC 3339 in UTC")
    schedule_name: Text | None = Field(default=None, description="the schedule's, if it has one")
    schedule_timezone: Text | None = Field(
        default=None, description="the zone whose clock the schedule follows, a name of the IANA database"
    )
    attempt: Counter | None = Field(default=None, description="counts the attempts at the nominal time")
    started_at: _Instant | None = Field(default=None, description="when this run began, RFC 3339 in UTC")


class HeaderInfo(CamelModel):
    """One header of a request. Names are compared without case; order and repetition are kept."""

    name: Text
    value: Text


class HttpInfo(CamelModel):
    """The HTTP request to answer."""

    method: Text = Field(description="in capitals, as the caller's")
    url: Annotated[str, Field(max_length=MAX_URL)] = Field(description="the path, then `?` and a query")
    headers: Annotated[list[HeaderInfo], Field(max_length=MAX_MEMBERS)] = Field(
        description="those that the host forwards"
    )
    body: Binary | None = Field(description="nil is no body, an empty one is a body")


class UserInfo(CamelModel):
    """The person behind the request."""

    user_id: Text
    user_email: Text
    user_name: Text
    user_type: Text = Field(description="such as `internal` or `client`")
    client_name: Text = Field(description="empty without a client")
    client_id: Text | None = None
    additional_fields: TextMap = Field(description="further facts, by name")


class Request(CamelModel):
    """What a handler is asked."""

    context: ContextInfo
    http: HttpInfo
    user: UserInfo | None = Field(default=None, description="absent where no person asks")


class ResponseHeader(CamelModel):
    """One header of a response. Names are compared without case; order and repetition are kept."""

    name: Text = Field(pattern=r"^[!#$%&'*+.^_`|~0-9A-Za-z-]+$", description="an HTTP token")
    value: Text = Field(pattern=r"^[^\u0000\r\n]*$", description="no line break, no zero byte")


class Response(CamelModel):
    """What a guest gives to `respond`."""

    status: Annotated[int, Field(ge=STATUSES[0], le=STATUSES[-1]), FROM_FLOAT] = Field(
        description="of HTTP, never an interim one"
    )
    headers: Annotated[list[ResponseHeader], Field(max_length=MAX_RESPONSE_HEADERS)] | None = None
    body: Binary | None = Field(default=None, description="nil or absent is no body")


class ErrorInfo(CamelModel):
    """Why a host call has no value."""

    code: Annotated[
        str,
        WithJsonSchema(
            {"anyOf": [{"enum": [code.value for code in HostCallCode]}, {"type": "string", "maxLength": 64}]}
        ),
    ] = Field(description="one that a guest does not know reads as `internal`")
    message: Text = Field(description="for people")
    field_errors: TextMap | None = Field(
        default=None, description="by member of the request: what is wrong with it"
    )
    retry_after_ms: Natural | None = Field(default=None, description="after how long to try again")
    retryable: bool | None = Field(
        default=None,
        description="the same call may succeed later, and does no harm if this one took effect after all",
    )


class OkReply(CamelModel):
    """The reply to a host call that went well."""

    ok: Annotated[dict[str, Any], Field(max_length=MAX_MEMBERS)] = Field(description="the operation's output")


class ErrReply(CamelModel):
    """The reply to a host call that did not."""

    err: ErrorInfo


class Reply(RootModel[OkReply | ErrReply]):
    """What a host call answers."""
