"""Where a request ends: one table of requests over sockets, to a bare app and to both services."""

from __future__ import annotations

from typing import Any

import anyio
import pytest

from alga_runner import Runner, Settings
from alga_runner.service import create_service
from alga_server import Server, ServerSettings
from tests.support.http_cases import ANSWERED, FOLLOWING, LAST, MARK, REFUSED, Verdict
from tests.support.http_sockets import CONTINUE, answers, bytewise, echo, served

pytestmark = pytest.mark.anyio

SOUND = LAST | ANSWERED
SENT = REFUSED | {name: case.sent for name, case in SOUND.items()}
VERDICTS = {
    **dict.fromkeys(REFUSED, Verdict.REFUSED),
    **dict.fromkeys(LAST, Verdict.LAST),
    **dict.fromkeys(ANSWERED, Verdict.ANSWERED),
}
SHORT = 1000
"""Bytes of a request that is sent byte by byte at most."""


def marked(app: Any) -> Any:
    """``app``, but the target of ``FOLLOWING`` is answered by ``echo``: so the answer to it is known."""

    async def call(scope: Any, receive: Any, send: Any) -> None:
        await (echo if scope["path"] == MARK.decode() else app)(scope, receive, send)

    return call


def verdict(answer: bytes) -> Verdict | str:
    """The verdict that an ``answer`` to a request and ``FOLLOWING`` shows, or an odd answer itself."""
    count = answer.removeprefix(CONTINUE).count(b"HTTP/1.1 ")
    refused = b"Invalid HTTP request received." in answer
    followed = b"x-of: " + MARK in answer
    match count, refused, followed:
        case (0, False, False) | (1, True, False):
            return Verdict.REFUSED
        case (1, False, False):
            return Verdict.LAST
        case (2, False, True):
            return Verdict.ANSWERED
    return f"{count} answers: {answer[:300]!r}"


async def surprises(app: Any, *, each_byte_alone: bool = False) -> dict[str, Verdict | str]:
    """The verdicts on requests of the table that the table has not."""
    judged: dict[str, Verdict | str] = {}
    async with served(app) as address:

        async def judge(name: str, sent: bytes) -> None:
            judged[name] = verdict(await answers(address, *(bytewise(sent) if each_byte_alone else [sent])))

        async with anyio.create_task_group() as tasks:
            for name, sent in SENT.items():
                if not each_byte_alone or len(sent) < SHORT:
                    tasks.start_soon(judge, name, sent + FOLLOWING)
    return {name: result for name, result in judged.items() if result is not VERDICTS[name]}


async def test_each_request_ends_where_the_table_has_it() -> None:
    assert await surprises(echo) == {}


async def test_it_ends_there_when_each_byte_arrives_alone() -> None:
    assert await surprises(echo, each_byte_alone=True) == {}


async def test_it_ends_there_in_the_runners_service(runner: Runner) -> None:
    service = create_service(runner, Settings(), require_token=False)

    assert await surprises(marked(service)) == {}


async def test_it_ends_there_in_the_reference_server() -> None:
    async with Server(ServerSettings(database_url="sqlite://", dispatch_schedules=False)) as server:
        assert await surprises(marked(server.app)) == {}


@pytest.mark.parametrize("each_byte_alone", [False, True])
async def test_a_sound_body_is_read_as_it_was_meant(each_byte_alone: bool) -> None:
    read: dict[str, bytes] = {}
    meant = {name: case.body for name, case in SOUND.items() if len(case.sent) < SHORT}
    async with served() as address:
        for name in meant:
            pieces = bytewise(SENT[name]) if each_byte_alone else [SENT[name]]
            answer = (await answers(address, *pieces, FOLLOWING)).removeprefix(CONTINUE)
            read[name] = answer.partition(b"\r\n\r\n")[2].partition(b"HTTP/1.1 200")[0]

    assert read == meant


async def test_no_target_is_answered_but_those_that_were_sent() -> None:
    targets: set[bytes] = set()

    async def kept(scope: Any, receive: Any, send: Any) -> None:
        targets.add(scope["raw_path"])
        await echo(scope, receive, send)

    await surprises(kept)

    assert targets == {b"/", MARK, b"http://other.test/"}
