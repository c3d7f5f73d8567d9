"""The host takes what the vectors call valid and refuses the rest, each with its code."""

from __future__ import annotations

import base64
import time
from collections.abc import Callable, Mapping
from functools import partial
from typing import Any

import pytest

from alga_runner.capabilities import OPERATIONS, Execution, Gate
from alga_runner.errors import AlgaError, BrokenFraming, HostCallError, InvalidResponse
from alga_runner.guests import messages
from alga_runner.guests.http import decode_response, encode_request
from alga_runner.models import KNOWN_CAPABILITIES, ExecuteRequest, ExecutionContext, UpdateScheduleInput
from alga_runner.telemetry import Telemetry

Vectors = Callable[[str], list[dict[str, Any]]]


class PlainCodec:
    """Requests as bytes, replies as they are."""

    def decode(self, request: bytes, /) -> object:
        return messages.decode(request)

    def encode(self, reply: Mapping[str, object], /) -> Mapping[str, object]:
        return reply

    def piece(self, item: object, /) -> object:
        return item


def data(vector: dict[str, Any]) -> bytes:
    return bytes.fromhex(vector["hex"])


@pytest.mark.parametrize("file", ["values.json", "replies.json", "requests.json"])
def test_valid_documents_are_read(file: str, vectors: Vectors) -> None:
    for vector in vectors(file):
        if vector["kind"] == "valid" and vector["name"] != "truncated":
            messages.decode(data(vector))


def test_valid_values_mean_what_they_should(vectors: Vectors) -> None:
    for vector in vectors("values.json"):
        if vector["kind"] == "valid":
            assert repr(messages.decode(data(vector))) == repr(vector["value"]), vector["name"]


@pytest.mark.parametrize("file", ["values.json", "host-call-requests.json"])
def test_documents_against_a_rule_are_refused_with_their_code(file: str, vectors: Vectors) -> None:
    for vector in vectors(file):
        if vector["kind"] == "refused" and vector["rule"] not in {"shape", "json"}:
            with pytest.raises(HostCallError) as caught:
                messages.decode(data(vector))
            assert caught.value.host_code == vector["code"], vector["name"]


@pytest.mark.parametrize("file", ["values.json", "host-call-requests.json"])
def test_bytes_that_are_no_document_are_a_breach(file: str, vectors: Vectors) -> None:
    breaches = [vector for vector in vectors(file) if vector["kind"] == "breach"]

    taken = [vector["name"] for vector in breaches if not fails(BrokenFraming, messages.decode, data(vector))]

    assert breaches
    assert taken == []


def test_valid_requests_of_host_calls_mean_what_they_should(vectors: Vectors) -> None:
    for vector in vectors("host-call-requests.json"):
        if vector["kind"] != "valid":
            continue
        operation = OPERATIONS[vector["operation"]]

        read = operation.validate(messages.decode(data(vector)))

        if isinstance(read, UpdateScheduleInput):
            given = {"scheduleId": read.schedule_id, **read.changes()}
        else:
            given = read.model_dump(by_alias=True, exclude_none=True)
        assert given == vector["value"], vector["name"]


@pytest.mark.anyio
async def test_requests_of_the_wrong_shape_are_refused_with_the_field_named(vectors: Vectors) -> None:
    for vector in vectors("host-call-requests.json"):
        if vector.get("rule") not in {"shape", "json"}:
            continue

        reply = await Gate(Telemetry()).call(
            execution(), OPERATIONS[vector["operation"]], data(vector), PlainCodec()
        )

        error: Any = reply["err"]
        assert error["code"] == vector["code"], vector["name"]
        if "field" in vector:
            assert vector["field"] in error["fieldErrors"], vector["name"]


def test_valid_responses_are_read(vectors: Vectors) -> None:
    for vector in vectors("responses.json"):
        if vector["kind"] != "valid":
            continue
        expected = vector["value"]

        response = decode_response(data(vector), max_body_bytes=1024, max_items=10_000)

        assert response.status == expected["status"], vector["name"]
        last = {header["name"].lower(): header for header in expected["headers"]}
        assert response.headers == {header["name"]: header["value"] for header in last.values()}
        pairs = [(header["name"], header["value"]) for header in expected["headers"]]
        assert list(response.header_pairs()) == pairs, vector["name"]
        body = None if response.body_b64 is None else base64.b64decode(response.body_b64)
        assert body == expected["body"], vector["name"]


def test_every_invalid_response_is_refused(vectors: Vectors) -> None:
    bad = [vector for vector in vectors("responses.json") if vector["kind"] == "refused"]
    decode = partial(decode_response, max_body_bytes=1024, max_items=10_000)

    taken = [vector["name"] for vector in bad if not fails(InvalidResponse, decode, data(vector))]

    assert bad
    assert taken == []


def test_the_request_for_a_handler_is_written_byte_for_byte(vectors: Vectors) -> None:
    vector = next(vector for vector in vectors("requests.json") if vector["name"] == "everything")
    request = ExecuteRequest.model_validate(
        {
            "context": {
                "request_id": "req-1",
                "tenant_id": "tenant-1",
                "extension_id": "ext-1",
                "install_id": "install-1",
                "content_hash": "unseen by the guest",
                "version_id": "version-1",
                "config": {"intervalHours": "6"},
                "trigger": "schedule",
                "schedule_id": vector["value"]["context"]["scheduleId"],
                "nominal_time": "2026-01-02T03:00:00Z",
                "schedule_name": "Nightly",
                "schedule_timezone": "Europe/Berlin",
                "attempt": 2,
                "started_at": "2026-01-02T04:01:00+01:00",
            },
            "http": {
                "method": "POST",
                "path": "/sync",
                "query": {"full": "1", "q": "a b"},
                "header_list": [("Content-Type", "application/json"), ("x-a", "ü"), ("X-A", "2")],
                "body_b64": base64.b64encode(b'{"full":false}').decode(),
            },
            "user": {
                "user_id": "user-1",
                "user_email": "ada@example.com",
                "user_name": "Ada",
                "user_type": "internal",
                "client_name": "Acme",
                "client_id": "client-1",
                "additional_fields": {"locale": "de"},
            },
        }
    )

    assert encode_request(request, max_body_bytes=1_000_000).hex() == vector["hex"]


def fails(error: type[AlgaError], decode: Callable[[bytes], object], document: bytes) -> bool:
    try:
        decode(document)
    except error:
        return True
    return False


def execution() -> Execution:
    """Granted, but with nothing behind it: no vector here may reach the server."""
    return Execution(
        context=ExecutionContext(
            tenant_id="tenant-1", extension_id="ext-1", install_id="install-1", content_hash=""
        ),
        granted=frozenset(KNOWN_CAPABILITIES),
        alga=None,  # type: ignore[arg-type]
        deadline=time.monotonic() + 60,
    )
