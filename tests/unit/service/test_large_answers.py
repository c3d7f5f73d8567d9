"""Large answers are made and sent another way than small ones, and are the same."""

from __future__ import annotations

import base64
import json
from typing import Any

import pytest

from alga_common.sharing.large_work import LARGE_BYTES
from alga_runner import ExecuteResponse
from alga_runner.models import ExecuteAnswer
from alga_runner.service.http import SENT_BYTES, Answer
from alga_runner.service.replies import guest_reply

pytestmark = pytest.mark.anyio


@pytest.mark.parametrize("size", [0, 10, LARGE_BYTES, LARGE_BYTES + 1, 3 * LARGE_BYTES])
def test_a_reply_of_any_size_is_the_response(size: int) -> None:
    body = base64.b64encode(bytes(size)).decode()
    headers = {"body_b64": "", 'x-"quoted"': "ü", "content-type": "text/plain"}
    response = ExecuteResponse(status=207, headers=headers, body_b64=body)

    assert json.loads(guest_reply(response).body) == response.model_dump()


@pytest.mark.parametrize("log_tail", [None, "info: x"])
@pytest.mark.parametrize("size", [0, 3 * LARGE_BYTES])
def test_a_reply_lists_its_headers_if_one_is_repeated(size: int, log_tail: str | None) -> None:
    pairs = [("set-cookie", "a=1"), ("Set-Cookie", "b=2")]
    response = ExecuteResponse(
        status=200,
        headers=dict(pairs[1:]),
        header_list=pairs,
        body_b64=base64.b64encode(bytes(size)).decode(),
    )

    answer = json.loads(guest_reply(response, log_tail).body)

    assert ExecuteAnswer.model_validate(answer).header_pairs() == pairs
    assert answer["headers"] == {"Set-Cookie": "b=2"}
    assert answer.get("log_tail") == log_tail


@pytest.mark.parametrize("size", [0, 1, SENT_BYTES - 1, SENT_BYTES, SENT_BYTES + 1, 3 * SENT_BYTES])
async def test_an_answer_of_any_size_is_sent_whole(size: int) -> None:
    sent: list[Any] = []

    async def send(message: Any) -> None:
        sent.append(message)

    body = bytes(number % 251 for number in range(size))
    await Answer(200, body).send(send)

    start, *pieces = sent
    assert (b"content-length", str(size).encode()) in start["headers"]
    assert b"".join(piece["body"] for piece in pieces) == body
    assert all(len(piece["body"]) <= SENT_BYTES for piece in pieces)
    assert [piece.get("more_body", False) for piece in pieces] == [True] * (len(pieces) - 1) + [False]


async def test_an_answer_to_head_has_no_body() -> None:
    sent: list[Any] = []

    async def send(message: Any) -> None:
        sent.append(message)

    await Answer(200, bytes(2 * SENT_BYTES)).send(send, with_body=False)

    assert [message.get("body", b"") for message in sent] == [b"", b""]
