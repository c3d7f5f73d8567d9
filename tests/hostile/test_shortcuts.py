"""Every shortcut in front of a careful way gives the same: value, verdict and message.

Those of MessagePack are in ``test_messages_fuzzed``, that of answers' JSON in ``tests/unit/alga/test_answers``.
``FUZZ_EXAMPLES`` is how many values each test gets (``make fuzz``).
"""

from __future__ import annotations

import base64
import io
import json
import logging
import os
import struct
from datetime import UTC, datetime, timedelta
from itertools import pairwise
from typing import Any

import msgpack
import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st
from pydantic.alias_generators import to_camel

from alga_common.capabilities import (
    DEFAULT_CAPABILITIES,
    KNOWN_CAPABILITIES,
    granted_capabilities,
    normalise_capabilities,
    unknown_capabilities,
)
from alga_common.http.response import HttpProtocolError, ResponseReader
from alga_common.logging import JsonLines
from alga_common.sharing.large_work import LARGE_BYTES
from alga_common.text import escape_controls, is_unicode
from alga_runner import ExecuteResponse
from alga_runner.capabilities import OPERATIONS
from alga_runner.guests.http import encode_request
from alga_runner.models import ExecuteRequest, ExecutionContext, FoundSchedule, ScheduleInfo, ScheduleList
from alga_runner.service.replies import guest_reply
from alga_runner.telemetry import Telemetry
from alga_runner.telemetry.output import JsonHandler
from alga_server.firing import misfires
from alga_server.firing.misfires import MisfirePolicy, Plan
from alga_server.schedules.occurrences import Occurrence, after
from tests.conftest import Observe
from tests.support.guests import guest_wat

EVERY = settings(
    max_examples=int(os.environ.get("FUZZ_EXAMPLES", "30")),
    deadline=None,
    database=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)
any_text = st.text(st.characters(exclude_categories=()), max_size=8)
texts = st.text(max_size=8)

# ---- Text and names


@EVERY
@given(text=any_text)
@example(text="\ud800\x1b\u202e\u00a0\t")
def test_printable_text_is_what_escaping_leaves(text: str) -> None:
    careful = "".join(
        character
        if character.isprintable()
        else character.encode("unicode_escape", "surrogatepass").decode("ascii")
        for character in text
    )
    assert escape_controls(text) == careful


@EVERY
@given(text=any_text)
def test_text_is_unicode_if_it_can_be_written(text: str) -> None:
    assert is_unicode(text) == (not any("\ud800" <= character <= "\udfff" for character in text))


capabilities = st.sampled_from(sorted(KNOWN_CAPABILITIES)).flatmap(
    lambda name: st.sampled_from([name, name.upper(), f" {name}", f"{name}\n", name[:-1]])
) | st.sampled_from(["", " ", "cap:", "\u212aap:log.emit"])


@EVERY
@given(names=st.lists(capabilities, max_size=4))
def test_capabilities_that_all_exist_are_what_normalising_leaves(names: list[str]) -> None:
    normalised = normalise_capabilities(names)

    assert granted_capabilities(names) == DEFAULT_CAPABILITIES | normalised
    assert unknown_capabilities(names) == sorted(normalised - KNOWN_CAPABILITIES)


# ---- Documents


def _without_none(document: Any) -> Any:
    return {to_camel(key): value for key, value in document.items() if value is not None}


ids = st.text("ab1-.", min_size=1, max_size=6).filter(lambda text: text[0] not in "-.")
contexts = st.fixed_dictionaries(
    {"tenant_id": ids, "extension_id": ids, "content_hash": texts},
    optional={
        "request_id": ids | st.none(),
        "install_id": ids,
        "config": st.dictionaries(texts, texts, max_size=2),
        "schedule_name": texts,
        "attempt": st.none() | st.integers(1, 2**31 - 1),
    },
)
users = st.fixed_dictionaries(
    dict.fromkeys(("user_id", "user_email", "user_name", "user_type"), texts),
    optional={"client_name": texts, "client_id": texts | st.none(), "additional_fields": st.just({"a": "b"})},
)


@EVERY
@given(
    context=contexts,
    user=st.none() | users,
    body=st.none() | st.binary(max_size=20),
    headers=st.dictionaries(texts, texts, max_size=2),
)
def test_a_request_written_by_its_own_types_is_the_plain_document(
    context: Any, user: Any, body: bytes | None, headers: dict[str, str]
) -> None:
    http = {"method": "POST", "path": "/a", "headers": headers}
    if body is not None:
        http["body_b64"] = base64.b64encode(body).decode()
    request = ExecuteRequest.model_validate({"context": context, "http": http, "user": user})
    document: dict[str, Any] = {
        "context": _without_none(request.context.model_dump(exclude={"content_hash"})),
        "http": {
            "method": "POST",
            "url": "/a",
            "headers": [{"name": name, "value": value} for name, value in headers.items()],
            "body": body,
        },
    }
    if request.user is not None:
        document["user"] = _without_none(request.user.model_dump())

    assert msgpack.unpackb(encode_request(request, max_body_bytes=100)) == document


@EVERY
@given(
    headers=st.dictionaries(texts, texts, max_size=3),
    log_tail=st.none() | texts,
    status=st.integers(200, 599),
)
def test_a_reply_with_a_large_body_is_written_as_one_with_a_small_body_is(
    headers: dict[str, str], log_tail: str | None, status: int
) -> None:
    large = ExecuteResponse(status=status, headers=headers, body_b64="A" * LARGE_BYTES)
    small = large.model_copy(update={"body_b64": "A"})

    written = guest_reply(large, log_tail).body.replace(b"A" * LARGE_BYTES, b"A")
    assert json.loads(written) == json.loads(guest_reply(small, log_tail).body)


@EVERY
@given(payload=st.none() | st.dictionaries(texts, st.none() | texts, max_size=2), name=st.none() | texts)
def test_an_output_that_is_a_model_is_written_as_one_in_a_union_is(payload: Any, name: str | None) -> None:
    members = {
        "endpoint_path": "/",
        "endpoint_method": "GET",
        "cron": "c",
        "timezone": "UTC",
        "enabled": True,
    }
    schedule = ScheduleInfo(id="s", name=name, payload=payload, **members)

    in_a_list = OPERATIONS["scheduler.list"].dump(ScheduleList(schedules=[schedule]))
    alone = OPERATIONS["scheduler.get"].dump(FoundSchedule(schedule=schedule))

    assert in_a_list == {"schedules": [alone["schedule"]]}


@EVERY
@given(identity=texts, detail=texts | st.just("\x1b[31m\u202e\ufffe"))
@example(identity="\ud800", detail="\udfff\0")
def test_log_lines_written_together_are_what_each_would_be_alone(identity: str, detail: str) -> None:
    together, alone = io.StringIO(), io.StringIO()
    plain = logging.StreamHandler(alone)
    plain.setFormatter(JsonLines())
    who = ExecutionContext.model_construct(tenant_id=identity, extension_id=identity, request_id=identity)
    lines = []
    for stream, handler in ((together, JsonHandler(together)), (alone, plain)):
        logger = logging.Logger("alga_runner", logging.INFO)
        logger.propagate = False
        logger.addHandler(handler)
        telemetry = Telemetry(logger)
        telemetry.execution("guest_trap", 0.5, who, detail=detail)
        telemetry.close()
        [line] = stream.getvalue().splitlines()
        lines.append({**json.loads(line), "time": None})

    assert lines[0] == lines[1]


# ---- HTTP

heads = st.sampled_from(
    [
        b"HTTP/1.1 200 OK\r\ncontent-length: 5\r\n\r\nhello",
        b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n3;a=b\r\nhel\r\n0\r\n\r\n",
        b"HTTP/1.1 100 Continue\r\n\r\nHTTP/1.0 404 Not Found\r\n\r\nrest",
        b"HTTP/1.1 204 No Content\r\nconnection: close\r\n\r\n",
        b"HTTP/1.1 200 OK\r\ncontent-length: 5\r\ntransfer-encoding: chunked\r\n\r\n",
        b"HTTP/1.1 200 OK\r\ncontent-length: 99\r\n\r\n",
    ]
)


def read(pieces: list[bytes]) -> object:
    reader = ResponseReader(50)
    try:
        for piece in pieces:
            reader.feed(piece)
        reader.end()
    except HttpProtocolError as error:
        return str(error)
    return reader.status, reader.headers, bytes(reader.body), reader.reusable


@EVERY
@given(head=heads, extra=st.binary(max_size=4), at=st.integers(0, 120), cuts=st.lists(st.integers(0, 120)))
def test_a_response_in_pieces_is_judged_as_it_is_whole(
    head: bytes, extra: bytes, at: int, cuts: list[int]
) -> None:
    message = head[:at] + extra + head[at:]
    edges = [0, *sorted(min(cut, len(message)) for cut in cuts), len(message)]
    pieces = [message[start:stop] for start, stop in pairwise(edges)]

    assert read([message[at : at + 1] for at in range(len(message))]) == read(pieces) == read([message])


# ---- Pointers

EDGES = (0, 1, 8, 65_535, 65_536, 65_537, 131_071, 131_072, 131_073, 2**31, 2**32 - 1)
ranges = st.tuples(*[st.sampled_from(EDGES)] * 4, st.booleans())
_POINTERS = guest_wat(
    """
    (drop (call $request (i32.const 4096) (i32.const 4096)))
    (local.set $length (i32.add (i32.const 4096) (local.get $length)))
    (if (i32.load8_u (i32.sub (local.get $length) (i32.const 1)))
      (then (drop (memory.grow (i32.const 1)))))
    (drop (call $list
      (i32.load (i32.sub (local.get $length) (i32.const 17)))
      (i32.load (i32.sub (local.get $length) (i32.const 13)))
      (i32.load (i32.sub (local.get $length) (i32.const 9)))
      (i32.load (i32.sub (local.get $length) (i32.const 5)))))
    (call $respond (i32.const 0) (global.get $ok))""",
    imports="""
    (import "alga:abi" "request" (func $request (param i32 i32) (result i32)))
    (import "alga:scheduler" "list" (func $list (param i32 i32 i32 i32) (result i32)))""",
)


@pytest.mark.anyio
@EVERY
@given(given=ranges)
@example(given=(65_536, 0, 65_536, 0, False))
@example(given=(65_537, 0, 0, 0, False))
@example(given=(0, 0, 131_072, 0, True))
@example(given=(2**32 - 1, 2**32 - 1, 0, 0, True))
async def test_ranges_are_inside_memory_as_it_is_now_or_end_the_execution(
    observe: Observe, given: tuple[int, int, int, int, bool]
) -> None:
    offset, length, reply_offset, reply_capacity, grows = given
    size = 131_072 if grows else 65_536
    observation = await observe(_POINTERS, body=struct.pack("<IIII?", *given))

    inside = offset + length <= size and reply_offset + reply_capacity <= size
    assert (observation.error is None or observation.error.code != "out_of_bounds") == inside


# ---- Missed occurrences

schedules = st.sampled_from(
    [
        *("0 * * * *", "*/20 * * * *", "7,37 * * * *", "*/30 2 * * *"),
        *("30 2 * * *", "0,30 0-3 * * *", "15 3 1 * *", "0 2,3 * * 0"),
    ]
)
zones = st.sampled_from(
    ["UTC", "Europe/Berlin", "America/New_York", "Australia/Lord_Howe", "America/Scoresbysund"]
)
SPRING, AUTUMN = datetime(2026, 3, 27, tzinfo=UTC), datetime(2026, 10, 23, tzinfo=UTC)
starts = st.tuples(st.sampled_from([SPRING, AUTUMN, datetime(2026, 4, 3, tzinfo=UTC)]), st.integers(0, 72 * 4)).map(
    lambda at: at[0] + timedelta(minutes=15 * at[1])
)  # fmt: skip


def planned(bounds: tuple[int, int], *arguments: Any) -> Plan:
    with pytest.MonkeyPatch.context() as patched:
        patched.setattr(misfires, "MAX_COUNTED", bounds[0])
        patched.setattr(misfires, "MAX_MADE_UP", bounds[1])
        return misfires.plan(*arguments)


@EVERY
@given(
    expression=schedules,
    zone=zones,
    start=starts,
    away=st.integers(0, 6 * 24 * 4).map(lambda quarters: timedelta(minutes=15 * quarters)),
    kind=st.sampled_from(["skip", "latest", "all"]),
    window=st.none() | st.sampled_from([timedelta(minutes=30), timedelta(hours=5)]),
)
def test_a_leap_over_missed_occurrences_arrives_where_walking_does(
    *, expression: str, zone: str, start: datetime, away: timedelta, kind: Any, window: timedelta | None
) -> None:
    first: Occurrence = next(after(expression, zone, start))
    now = first.due_at + away
    policy = MisfirePolicy(kind, window, timedelta(minutes=1))

    leapt = planned((3, 4), expression, zone, first, now, policy)
    walked = planned((10**6, 4), expression, zone, first, now, policy)

    assert (leapt.occurrence, leapt.runs, leapt.then) == (walked.occurrence, walked.runs, walked.then)
    assert min(leapt.missed, 3) == min(walked.missed, 3)
