"""The codecs of the SDKs for AssemblyScript, C and Go, run on the vectors by their own guests."""

from __future__ import annotations

import json
from collections.abc import Awaitable, Callable
from typing import Any

import msgpack
import pytest

from alga_runner import Observation

pytestmark = pytest.mark.anyio

Call = Callable[..., Awaitable[Observation]]
Vectors = Callable[[str], list[dict[str, Any]]]

GENERAL_RULES = {"key", "extension", "depth", "duplicate", "utf8"}
"""The rules of every document; the others are the host's own."""


@pytest.fixture(scope="module", params=["codec", "c", pytest.param("go", marks=pytest.mark.guests)])
def guest(request: pytest.FixtureRequest) -> Call:
    """The guest of one SDK; JSON is read by AssemblyScript's alone."""
    call: Call = request.getfixturevalue(request.param)
    return call


async def ask(codec: Call, path: str, data: bytes) -> tuple[int, bytes]:
    observation = await codec(path, data)
    assert observation.response is not None, observation.error
    return observation.response.status, observation.response.body()


async def test_valid_values_come_back_in_canonical_form(guest: Call, vectors: Vectors) -> None:
    for vector in vectors("values.json"):
        if vector["kind"] == "valid":
            answer = await ask(guest, "/value", bytes.fromhex(vector["hex"]))

            assert answer == (200, bytes.fromhex(vector.get("canonical", vector["hex"]))), vector["name"]


@pytest.mark.parametrize("length", [31, 32, 255, 256, 65_535, 65_536])
async def test_text_and_bytes_of_every_size_have_the_shortest_head(length: int, guest: Call) -> None:
    for value in ("a" * length, b"a" * length):
        assert await ask(guest, "/value", msgpack.packb(value)) == (200, msgpack.packb(value))


async def test_a_map_of_many_members_is_read(guest: Call) -> None:
    document = msgpack.packb({str(number): number for number in range(1_000)})

    assert await ask(guest, "/value", document) == (200, document)


async def test_a_key_twice_among_many_is_refused(guest: Call) -> None:
    pairs = [(str(number), number) for number in range(1_000)] + [("500", 0)]
    document = msgpack.Packer().pack_map_pairs(pairs)

    assert (await ask(guest, "/value", document))[0] == 422


@pytest.mark.parametrize("file", ["values.json", "host-call-requests.json"])
async def test_bad_documents_are_told_apart(file: str, guest: Call, vectors: Vectors) -> None:
    for vector in vectors(file):
        if vector["kind"] == "breach" or vector.get("rule") in GENERAL_RULES:
            status, body = await ask(guest, "/value", bytes.fromhex(vector["hex"]))

            assert (status, json.loads(body)["error"]["code"]) == (422, vector["kind"]), vector["name"]


async def test_replies_are_read(guest: Call, vectors: Vectors) -> None:
    for vector in vectors("replies.json"):
        expected = vector["value"]

        _, body = await ask(guest, "/reply", bytes.fromhex(vector["hex"]))

        got = msgpack.unpackb(body)
        if "err" in expected and "message" not in expected["err"]:
            assert got["err"].pop("message")
        assert got == expected, vector["name"]


async def test_requests_are_read(guest: Call, vectors: Vectors) -> None:
    for vector in vectors("requests.json"):
        _, body = await ask(guest, "/request", bytes.fromhex(vector["hex"]))

        assert msgpack.unpackb(body) == vector["value"], vector["name"]


async def test_responses_are_written(guest: Call, vectors: Vectors) -> None:
    for vector in vectors("responses.json"):
        if vector["kind"] == "valid":
            _, body = await ask(guest, "/response", bytes.fromhex(vector["hex"]))

            written = {"headers": [], "body": None} | msgpack.unpackb(body)
            assert written == vector["value"], vector["name"]


@pytest.mark.parametrize("operation", ["scheduler.create", "scheduler.update"])
async def test_requests_of_host_calls_are_written(operation: str, guest: Call, vectors: Vectors) -> None:
    default = {"enabled": True} if operation == "scheduler.create" else {}
    for vector in vectors("host-call-requests.json"):
        if vector["kind"] == "valid" and vector["operation"] == operation:
            _, body = await ask(guest, f"/call/{operation}", bytes.fromhex(vector["hex"]))

            assert default | msgpack.unpackb(body) == default | vector["value"], vector["name"]


@pytest.mark.parametrize(
    ("text", "written"),
    [
        ("1", "1"),
        (' {"a" : [ 1 , -2.5, true,false, null ] } ', '{"a":[1,-2.5,true,false,null]}'),
        ("1e3", "1000.0"),
        ("123456789012345678", "123456789012345678"),
        (r'"\u00e9\n\/\"\\"', r'"é\n/\"\\"'),
        (r'"\u0001"', r'"\u0001"'),
        (r'"\ud83c\udf89"', '"🎉"'),
        (r'"\ud83c"', '"\ufffd"'),
        ("[" * 32 + "]" * 32, "[" * 32 + "]" * 32),
    ],
)
async def test_json_is_read_and_written(text: str, written: str, codec: Call) -> None:
    assert await ask(codec, "/json", text.encode()) == (200, written.encode())


@pytest.mark.parametrize(
    "text",
    [
        *("", " ", "1 2", "nul", "NaN"),
        *("01", "1.", ".5", "+1", "-", "1e"),
        *("[1,]", "[1", '{"a":1,}', '{"a" 1}', '{"a"}', "{1:2}", '{"a":1,"a":2}'),
        *('"abc', '"\n"', r'"\x"', r'"\u12g4"'),
        "[" * 33 + "]" * 33,
    ],
)
async def test_what_is_not_json_is_refused(text: str, codec: Call) -> None:
    assert (await ask(codec, "/json", text.encode()))[0] == 422


async def test_json_that_is_not_utf8_is_refused(codec: Call) -> None:
    assert (await ask(codec, "/json", b'"\xff"'))[0] == 422


@pytest.mark.parametrize(
    ("query", "value"),
    [
        ("?payload=%7B%22a%22%3A%22b%20%2B%20c%22%7D", b'{"a":"b + c"}'),
        ("?payload=a+b%2Bc", b"a b+c"),
        ("?pay%6Coad=%E5%A4%9C%c3%bc", "夜ü".encode()),
        ("?a=1&payload=2&payload=3", b"2"),
        ("?payload", b""),
        ("?payload=", b""),
        ("?payload=a=b?c", b"a=b?c"),
        ("?payload=100%&x", b"100%"),
        ("?payload=%4", b"%4"),
        ("?payload=%zz%%41", b"%zz%A"),
    ],
)
async def test_a_value_of_the_query_is_decoded(query: str, value: bytes, guest: Call) -> None:
    assert await ask(guest, f"/query{query}", b"payload") == (200, value)


@pytest.mark.parametrize("query", ["", "?", "?payloads=1", "?a=payload"])
async def test_a_name_that_the_query_lacks_has_no_value(query: str, guest: Call) -> None:
    assert (await ask(guest, f"/query{query}", b"payload"))[0] == 404


async def test_a_query_that_is_not_utf8_ends_no_guest(guest: Call) -> None:
    for text in ("%ff", "%e5%a4", "%f0", "a%c3"):
        assert (await ask(guest, f"/query?payload={text}", b"payload"))[0] == 200


@pytest.fixture(scope="module", params=["c", pytest.param("go", marks=pytest.mark.guests)])
def messenger(request: pytest.FixtureRequest) -> Call:
    """A guest that tells what it makes of headers and problems."""
    call: Call = request.getfixturevalue(request.param)
    return call


async def test_a_header_is_found_in_any_case(messenger: Call) -> None:
    assert await ask(messenger, "/header", b"x-kIND") == (200, b"probe")


@pytest.mark.parametrize("name", ["x-kin", "x-kinds", "x-kinc", ""])
async def test_a_header_of_another_name_is_not_found(name: str, messenger: Call) -> None:
    assert (await ask(messenger, "/header", name.encode()))[0] == 404


async def test_a_problem_is_json_whatever_its_message(messenger: Call) -> None:
    message = "".join(map(chr, range(0x81))) + "東京 🎉"

    _, body = await ask(messenger, "/problem", message.encode())

    assert json.loads(body) == {"error": {"code": "bad", "message": message}}
