"""The request and response of one execution (alga-contract 1.1 and 1.2), snake_case on the wire."""

from __future__ import annotations

import binascii
from collections.abc import Iterable
from functools import lru_cache
from typing import Annotated, Any

import pybase64
from pydantic import AfterValidator, AliasChoices, Field, NonNegativeInt, model_validator
from pydantic_core import PydanticCustomError

from alga_common.http.semantics import clean_id, is_header_value
from alga_common.wire import is_tenant_id

from ..errors import BodyNotBase64
from ._base import WireModel
from .members import MAX_MEMBERS, MAX_URL, Counter, ScheduleId, Text, TextMap, UtcTime
from .secret_envelope import SecretEnvelope


def _tenant(text: str) -> str:
    if not is_tenant_id(text):
        raise PydanticCustomError(
            "tenant_id", "must be letters, digits, and . _ - after the first, 128 characters at most"
        )
    return text


def _sendable(text: str) -> str:
    if text and not is_header_value(text):
        raise PydanticCustomError(
            "not_sendable", "must be visible ASCII, as an HTTP header has, 512 characters at most"
        )
    return text


_RequestId = Annotated[str, AfterValidator(clean_id)]
_TenantId = Annotated[str, AfterValidator(lru_cache(maxsize=1024)(_tenant))]
_Id = Annotated[str, AfterValidator(lru_cache(maxsize=1024)(_sendable))]
"""An id that host calls send in a header; the same ones come again and again."""
_Sendable = Annotated[str, AfterValidator(_sendable)]
"""Text that host calls send in a header, and that is not kept."""


class ExecutionContext(WireModel):
    """Who executes what. Identity of every host call is taken from here, never from the guest's bytes.

    A ``request_id`` that no header can hold is replaced by one that can. Of a schedule's run, ``nominal_time`` is when
    it was due and ``started_at`` when it began, both in UTC; ``schedule_timezone`` is the zone whose clock it follows.
    """

    request_id: _RequestId | None = None
    tenant_id: _TenantId
    extension_id: _Id
    install_id: _Id | None = None
    content_hash: str
    version_id: _Id | None = None
    config: TextMap = Field(default_factory=dict)
    trigger: Text | None = None
    schedule_id: ScheduleId | None = None
    nominal_time: UtcTime | None = None
    schedule_name: Text | None = None
    schedule_timezone: Text | None = None
    attempt: Counter | None = None
    started_at: UtcTime | None = None


class HttpCall(WireModel):
    """The HTTP request handed to the guest. ``body_b64`` is standard base64; ``None`` means no body.

    ``path`` may have a query, which reaches the guest as it is; ``query`` has one value for each name, and is added.
    ``header_list`` has name and value of each header, in order and repeated ones included, and counts instead of
    ``headers``.
    """

    method: Text
    path: Annotated[str, Field(max_length=MAX_URL)]
    query: dict[str, str] = Field(default_factory=dict)
    headers: TextMap = Field(default_factory=dict)
    header_list: Annotated[list[tuple[Text, Text]], Field(max_length=MAX_MEMBERS)] | None = None
    body_b64: str | None = None

    @property
    def bare_path(self) -> str:
        """The path without the query that it may have."""
        return self.path.partition("?")[0]

    def header_pairs(self) -> Iterable[tuple[str, str]]:
        """Name and value of each header, in order."""
        return self.headers.items() if self.header_list is None else self.header_list

    def body(self) -> bytes | None:
        """The decoded body, or ``None``. Raises ``BodyNotBase64``."""
        if self.body_b64 is None:
            return None
        try:
            return pybase64.b64decode(self.body_b64.strip(), validate=True)
        except (binascii.Error, ValueError) as error:
            raise BodyNotBase64(
                f"The request's http.body_b64 is not base64: {error}.",
                hint="Send standard base64 with padding, or null for no body.",
            ) from error


class ExecutionLimits(WireModel):
    """Limits the caller asks for; each is clamped to the runner's own. ``fuel`` is recorded and without effect."""

    timeout_ms: NonNegativeInt | None = None
    cpu_ms: NonNegativeInt | None = None
    memory_mb: NonNegativeInt | None = None
    fuel: NonNegativeInt | None = None


class User(WireModel):
    """The person behind the request (alga-contract 1.5)."""

    user_id: Text
    user_email: Text
    user_name: Text
    user_type: Text
    client_name: Text = Field(default="", validation_alias=AliasChoices("client_name", "company_name"))
    client_id: Text | None = None
    additional_fields: TextMap = Field(default_factory=dict)

    @model_validator(mode="before")
    @classmethod
    def _one_client_name(cls, data: Any) -> Any:
        if isinstance(data, dict) and "client_name" in data and "company_name" in data:
            raise ValueError("client_name and company_name are the same field; give one")
        return data


class ExecuteRequest(WireModel):
    """One call of an extension's handler. ``providers`` are the capabilities an admin granted."""

    context: ExecutionContext
    http: HttpCall
    limits: ExecutionLimits = ExecutionLimits()
    secret_envelope: SecretEnvelope | None = None
    providers: list[str] = Field(default_factory=list)
    user: User | None = None
    execution_token: _Sendable | None = Field(default=None, repr=False)
    """Issued by the server for this execution; goes back to it with every host call, and nowhere else."""


class WarmupRequest(WireModel):
    """A bundle to load before it is executed. Upstream's form has the hash alone (alga-contract 2)."""

    content_hash: str
    tenant_id: str | None = None
    extension_id: str | None = None


class ExecuteResponse(WireModel):
    """The guest's response. All four members are always on the wire; ``error`` is ``None`` for every guest reply.

    ``headers`` has one value a name, the last. A response with a name twice, in any case, has ``header_list`` too: name
    and value of each header, in order.
    """

    status: int
    headers: dict[str, str] = Field(default_factory=dict)
    body_b64: str | None = None
    error: str | None = None
    header_list: list[tuple[str, str]] | None = Field(default=None, exclude=True)

    def header_pairs(self) -> Iterable[tuple[str, str]]:
        """Name and value of each header, in order."""
        return self.headers.items() if self.header_list is None else self.header_list

    def body(self) -> bytes:
        """The decoded body; empty if the response has no body."""
        return pybase64.b64decode(self.body_b64 or "")


class ExecuteAnswer(ExecuteResponse):
    """The runner's answer over HTTP: the response, and the end of the guest's log for a caller that asked for it."""

    log_tail: str | None = None
