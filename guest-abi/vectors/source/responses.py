"""Responses of a guest: good ones, and every way to be none."""

from __future__ import annotations

import json
from collections.abc import Iterator

from .writing import (
    NIL,
    Vector,
    array,
    binary,
    document,
    integer,
    mapping,
    nested,
    raw_text,
    refused,
    text,
    valid,
    write,
)

JSON_HEADER = {"name": "content-type", "value": "application/json"}


def vectors() -> Iterator[Vector]:
    """Responses of a guest."""
    full = {"status": 200, "headers": [JSON_HEADER], "body": b"{}"}
    yield valid("everything", write(full), full, "status, headers, body")
    none = {"status": 204, "headers": [], "body": None}
    yield valid("no body", write(none), none, "nil is no body")
    empty = {"status": 200, "headers": [], "body": b""}
    yield valid("empty body", write(empty), empty, "an empty body is a body")
    yield valid("only a status", write({"status": 204}), none, "headers and body may be absent")
    yield valid("unknown member", write({**full, "trailers": []}), full, "unknown members are ignored")
    for status in (200, 404, 599):
        with_status = {**none, "status": status}
        yield valid(f"status {status}", write(with_status), with_status, "any status from 200 to 599")
    twice = {**full, "headers": [{"name": "Set-Cookie", "value": "a=1"}, {"name": "set-cookie", "value": ""}]}
    yield valid(
        "a header twice",
        write(twice),
        twice,
        "a guest may repeat a header, in any case: each is kept, in order",
    )
    odd = {**full, "headers": [{"name": "x-!#$%&'*+-.^_`|~9", "value": "a\tb  ü"}]}
    yield valid("odd but legal header", write(odd), odd, "a name is an HTTP token; a value may hold a tab")
    yield valid(
        "status is a float",
        write({**full, "status": 200.0}),
        full,
        "a float with an integral value counts as an integer",
    )
    yield valid(
        "status is a float of 32 bits",
        document(status=bytes.fromhex("ca43480000")),
        {**none, "status": 200},
        "likewise",
    )
    yield valid(
        "long forms",
        bytes.fromhex("de0001d906737461747573d100c8"),
        {**none, "status": 200},
        "any form of MessagePack is accepted",
    )
    bytes_of_all = {**none, "status": 200, "body": bytes(range(256))}
    yield valid("every byte in the body", write(bytes_of_all), bytes_of_all, "bodies are bytes")
    for name, data, meaning in _bad_responses():
        yield refused(name, data, meaning, code="invalid_response")


def _bad_responses() -> Iterator[tuple[str, bytes, str]]:
    good = {"status": 200, "headers": [JSON_HEADER], "body": b"{}"}
    yield "empty", b"", "no document"
    yield "truncated", write(good)[:-1], "the document is cut off"
    yield "trailing byte", write(good) + NIL, "bytes follow the document"
    yield "0xc1", b"\xc1", "not MessagePack"
    yield "JSON", json.dumps({"status": 200}).encode(), "not MessagePack"
    for name, value in (("array", [200, [], None]), ("nil", None), ("integer", 200), ("string", "ok")):
        yield f"{name} instead of a map", write(value), "a response is a map"
    yield "status missing", write({"headers": [], "body": None}), "status is required"
    for name, status in (
        ("nil", None),
        ("a string", "200"),
        ("a float with a fraction", 200.5),
        ("a float beyond the range", 600.0),
        ("NaN", float("nan")),
        ("a boolean", True),
        ("0", 0),
        ("100", 100),
        ("103", 103),
        ("199", 199),
        ("600", 600),
        ("negative", -200),
        ("2^64 - 1", 2**64 - 1),
    ):
        yield f"status is {name}", write({**good, "status": status}), "an integer from 200 to 599"
    for name, headers in (
        ("a map", {"content-type": "text/plain"}),
        ("a string", "content-type: text/plain"),
        ("a list of pairs", [["content-type", "text/plain"]]),
        ("a list of strings", ["content-type: text/plain"]),
    ):
        yield f"headers are {name}", write({**good, "headers": headers}), "a list of {name, value}"
    for name, header in (
        ("without a name", {"value": "x"}),
        ("without a value", {"name": "x"}),
        ("with an integer as value", {"name": "content-length", "value": 2}),
        ("with bytes as value", {"name": "x", "value": b"y"}),
        ("with nil as value", {"name": "x", "value": None}),
        ("with an integer as name", {"name": 1, "value": "x"}),
        ("with an empty name", {"name": "", "value": "x"}),
        ("with a space in its name", {"name": "a b", "value": "x"}),
        ("with a colon in its name", {"name": "a:", "value": "x"}),
        ("with a line feed in its name", {"name": "a\nb", "value": "x"}),
        ("with a letter beyond ASCII in its name", {"name": "größe", "value": "x"}),
        ("with a line feed in its value", {"name": "x", "value": "y\nset-cookie: a=1"}),
        ("with a carriage return in its value", {"name": "x", "value": "y\r"}),
        ("with a zero byte in its value", {"name": "x", "value": "y\x00"}),
    ):
        yield f"header {name}", write({**good, "headers": [header]}), "it would not survive HTTP"
    for name, body in (
        ("a string", "{}"),
        ("an array of bytes", [123, 125]),
        ("a map", {}),
        ("an integer", 1),
    ):
        yield f"body is {name}", write({**good, "body": body}), "bytes or nil"
    yield (
        "duplicate status",
        mapping((text("status"), integer(200)), (text("status"), integer(500))),
        "which one?",
    )
    yield "bin key", mapping((text("status"), integer(200)), (binary(b"body"), NIL)), "keys are strings"
    yield (
        "timestamp",
        mapping((text("status"), integer(200)), (text("at"), b"\xd6\xff\0\0\0\0")),
        "no extensions",
    )
    yield "too deep", mapping((text("status"), integer(200)), (text("x"), nested(32))), "33 containers deep"
    invalid = mapping((text("name"), text("x")), (text("value"), raw_text(b"\xff")))
    yield (
        "invalid UTF-8 in a header",
        document(status=integer(200), headers=array(invalid)),
        "strings are UTF-8",
    )
