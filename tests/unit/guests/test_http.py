"""The request a handler reads and the response it may give."""

from __future__ import annotations

import base64
import json

import msgpack
import pytest
from pydantic import ValidationError

from alga_common.wire import MAX_PAYLOAD_UNITS
from alga_runner import ExecuteRequest
from alga_runner.errors import BodyNotBase64, InvalidResponse, RequestInvalid
from alga_runner.guests.http import decode_response, encode_request, without_forbidden_body
from alga_runner.models.members import MAX_URL

CONTEXT = {"tenant_id": "acme", "extension_id": "ext", "content_hash": "sha256:" + "0" * 64}


def unpacked(request: ExecuteRequest) -> dict:
    return msgpack.unpackb(encode_request(request, max_body_bytes=100))


def read(**http) -> dict:
    request = ExecuteRequest.model_validate(
        {"context": CONTEXT, "http": {"method": "GET", "path": "/", **http}}
    )
    return unpacked(request)


@pytest.mark.parametrize(
    ("path", "query", "url"),
    [
        ("/a", {}, "/a"),
        ("/a", {"b": "c d", "e": "&"}, "/a?b=c%20d&e=%26"),
        ("/a?x=1", {"y": "2"}, "/a?x=1&y=2"),
    ],
)
def test_the_url_carries_the_query(path: str, query: dict[str, str], url: str):
    assert read(path=path, query=query)["http"]["url"] == url


@pytest.mark.parametrize(
    ("body_b64", "body"), [(None, None), ("", b""), ("AP8=", b"\x00\xff"), (" AP8=\n", b"\x00\xff")]
)
def test_no_body_and_an_empty_body_differ(body_b64: str | None, body: bytes | None):
    assert read(body_b64=body_b64)["http"]["body"] == body


@pytest.mark.parametrize("body_b64", ["A", "AP8", "*", "AP8=AP8="])
def test_a_body_that_is_not_base64_is_told_as_that(body_b64: str):
    with pytest.raises(BodyNotBase64, match="body_b64"):
        read(body_b64=body_b64)


def test_a_request_s_body_has_a_limit_too():
    with pytest.raises(RequestInvalid, match="101 bytes; 100 are allowed"):
        read(body_b64=base64.b64encode(bytes(101)).decode())


def test_headers_keep_their_case_and_order():
    headers = read(headers={"X-B": "1", "x-a": "2"})["http"]["headers"]

    assert headers == [{"name": "X-B", "value": "1"}, {"name": "x-a", "value": "2"}]


def test_what_has_no_value_is_absent():
    assert read()["context"] == {"tenantId": "acme", "extensionId": "ext", "config": {}}
    assert "user" not in read()


def test_a_schedule_s_context_reaches_the_handler():
    document = {
        "context": {
            **CONTEXT,
            "trigger": "schedule",
            "schedule_id": "s",
            "nominal_time": "2026-01-01T01:00:00+01:00",
            "schedule_name": "Nightly",
            "schedule_timezone": "Europe/Berlin",
            "attempt": 2,
            "started_at": "2026-01-01T00:01:00Z",
        },
        "http": {"method": "POST", "path": "/sync"},
    }
    context = unpacked(ExecuteRequest.model_validate(document))["context"]

    assert (context["trigger"], context["scheduleId"], context["nominalTime"]) == (
        "schedule",
        "s",
        "2026-01-01T00:00:00.000Z",
    )
    assert (context["scheduleName"], context["scheduleTimezone"]) == ("Nightly", "Europe/Berlin")
    assert (context["attempt"], context["startedAt"]) == (2, "2026-01-01T00:01:00.000Z")


@pytest.mark.parametrize(
    "time", ["", "soon", "2026-01-01T00:00:00", "2026-01-01", "0001-01-01T00:00:00+01:00"]
)
@pytest.mark.parametrize("member", ["nominal_time", "started_at"])
def test_a_time_that_is_no_instant_is_refused(member: str, time: str):
    document = {"context": {**CONTEXT, member: time}, "http": {"method": "POST", "path": "/sync"}}

    with pytest.raises(ValidationError, match="RFC 3339"):
        ExecuteRequest.model_validate(document)


@pytest.mark.parametrize("text", ["x" * MAX_URL, "ü" * (MAX_URL // 6)])
def test_a_url_that_a_query_makes_too_long_is_refused(text: str):
    with pytest.raises(RequestInvalid, match="1048576 are allowed"):
        read(query={"payload": text})


def test_the_largest_payload_fits_into_a_url():
    hundredth = json.dumps("語" * (MAX_PAYLOAD_UNITS // 100))

    assert 100 * len(read(query={"payload": hundredth})["http"]["url"]) < MAX_URL


def test_the_user_reaches_the_handler_in_the_guest_s_spelling():
    user = {
        "user_id": "u",
        "user_email": "u@x",
        "user_name": "U",
        "user_type": "internal",
        "company_name": "ACME",
    }
    document = {"context": CONTEXT, "http": {"method": "GET", "path": "/"}, "user": user}

    read_user = unpacked(ExecuteRequest.model_validate(document))["user"]

    assert read_user == {
        "userId": "u",
        "userEmail": "u@x",
        "userName": "U",
        "userType": "internal",
        "clientName": "ACME",
        "additionalFields": {},
    }


def decode(document: object, *, max_body_bytes: int = 100):
    return decode_response(msgpack.packb(document), max_body_bytes=max_body_bytes, max_items=1000)


def test_a_whole_response():
    response = decode({"status": 201, "headers": [{"name": "X-A", "value": "b"}], "body": b"\xff"})

    assert (response.status, response.headers, response.body()) == (201, {"X-A": "b"}, b"\xff")
    assert response.error is None


def test_no_body_and_an_empty_one_differ_on_the_wire():
    assert decode({"status": 204, "body": None}).body_b64 is None
    assert decode({"status": 200, "body": b""}).body_b64 == ""


def test_of_two_headers_of_one_name_the_last_wins():
    headers = [{"name": "a", "value": "1"}, {"name": "a", "value": "2"}]

    assert decode({"status": 200, "headers": headers}).headers == {"a": "2"}


def test_of_two_headers_that_differ_in_case_the_last_wins_too():
    names = ["Content-Type", "content-type", "X", "Content-Type"]
    headers = [{"name": name, "value": str(number)} for number, name in enumerate(names)]

    assert decode({"status": 200, "headers": headers}).headers == {"X": "2", "Content-Type": "3"}


def test_each_of_two_headers_of_one_name_is_kept_in_order():
    headers = [("set-cookie", "a=1"), ("x", "1"), ("Set-Cookie", "b=2")]
    document = {"status": 200, "headers": [{"name": name, "value": value} for name, value in headers]}

    assert list(decode(document).header_pairs()) == headers


def test_a_list_of_headers_reaches_the_guest_in_order_instead_of_the_map():
    pairs = [("accept", "a/b"), ("X-A", "1"), ("Accept", "c/d")]
    http = {"method": "GET", "path": "/", "headers": {"accept": "*/*"}, "header_list": pairs}
    request = ExecuteRequest.model_validate({"context": CONTEXT, "http": http})

    assert unpacked(request)["http"]["headers"] == [{"name": name, "value": value} for name, value in pairs]


@pytest.mark.parametrize(
    ("method", "status", "body_b64"),
    [
        ("POST", 200, "aGk="),
        ("GET", 204, None),
        ("POST", 205, None),
        ("GET", 304, None),
        ("HEAD", 200, None),
        ("head", 404, None),
    ],
)
def test_a_body_is_dropped_where_http_has_none(method: str, status: int, body_b64: str | None):
    response = without_forbidden_body(decode({"status": status, "body": b"hi"}), method)

    assert (response.status, response.body_b64) == (status, body_b64)


@pytest.mark.parametrize("status", [None, 0, 99, 100, 103, 199, 600, -200, True, "200", 200.5, 600.0, 1e300])
def test_a_status_must_be_one_of_http(status: object):
    with pytest.raises(InvalidResponse, match="status"):
        decode({"status": status})


@pytest.mark.parametrize(
    ("header", "fragment"),
    [
        ({"name": "a b", "value": ""}, "name that HTTP does not allow"),
        ({"name": "", "value": ""}, "name that HTTP does not allow"),
        ({"name": "a\r\nb", "value": ""}, "name that HTTP does not allow"),
        ({"name": "a", "value": "b\r\nset-cookie: c"}, "line break"),
        ({"name": "a", "value": "\0"}, "null"),
        ({"name": "a", "value": 1}, "no name and value"),
        (["a", "b"], "no name and value"),
    ],
)
def test_a_header_that_would_split_a_response_is_refused(header: object, fragment: str):
    with pytest.raises(InvalidResponse, match=fragment):
        decode({"status": 200, "headers": [header]})


def test_more_headers_than_anyone_needs():
    with pytest.raises(InvalidResponse, match="at most 256"):
        decode({"status": 200, "headers": [{"name": f"h{number}", "value": ""} for number in range(257)]})


@pytest.mark.parametrize(
    ("document", "sentence"),
    [
        ([], "The guest's response is an array, not a map."),
        ({}, "The guest's response has no status."),
        ({"status": 0}, "The status of the guest's response is 0, not an integer from 200 to 599."),
        (
            {"status": "200"},
            "The status of the guest's response is a string, not an integer from 200 to 599.",
        ),
        (
            {"status": True},
            "The status of the guest's response is a boolean, not an integer from 200 to 599.",
        ),
        ({"status": 200, "body": "x"}, "The body of the guest's response is a string, not binary or nil."),
        (
            {"status": 200, "headers": {"content-type": "text/plain"}},
            "The headers of the guest's response are a map, not an array of {name, value}.",
        ),
    ],
)
def test_a_refused_response_is_told_what_it_holds_instead(document: object, sentence: str):
    with pytest.raises(InvalidResponse) as refused:
        decode(document)

    assert str(refused.value) == sentence


def test_a_response_in_json_is_told_so():
    with pytest.raises(InvalidResponse) as refused:
        decode_response(b'{"status": 200}', max_body_bytes=100, max_items=100)

    assert refused.value.hint == "It looks like JSON; messages are MessagePack."


def test_a_body_over_its_limit():
    with pytest.raises(InvalidResponse, match="101 bytes; 100 are allowed"):
        decode({"status": 200, "body": bytes(101)})


def test_a_response_that_is_all_containers_is_not_built():
    document = b"\x81\xa1x\xdc\x03\xe8" + b"\x80" * 1000

    with pytest.raises(InvalidResponse, match="more than 1000 maps"):
        decode_response(document, max_body_bytes=100, max_items=1000)


def test_a_query_that_utf_8_has_no_form_for_reaches_the_guest_replaced():
    request = ExecuteRequest.model_validate(
        {
            "context": {"tenant_id": "t", "extension_id": "e", "content_hash": "sha256:0"},
            "http": {"method": "GET", "path": "/", "query": {"q": "a\ud800"}},
        }
    )

    assert unpacked(request)["http"]["url"] == "/?q=a%3F"
