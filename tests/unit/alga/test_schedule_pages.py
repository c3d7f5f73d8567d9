"""A long list of schedules is asked for page by page, read a schedule at a time, and has an end."""

from __future__ import annotations

import json
from collections.abc import Mapping
from time import monotonic
from typing import Any

import httpx
import msgpack
import pytest
from pydantic import SecretStr

from alga_common.sharing.large_work import LargeWorkQueue
from alga_runner.alga import DIALECTS, HttpAlgaServer, Identity, SchedulePage
from alga_runner.alga import http as client
from alga_runner.capabilities import OPERATIONS, Gate
from alga_runner.capabilities.operation import RECORDED_BYTES, Execution
from alga_runner.errors import HostCallCode, HostCallError
from alga_runner.guests.core import CoreCodec
from alga_runner.models import ExecutionContext
from alga_runner.telemetry import Telemetry

pytestmark = pytest.mark.anyio

IDENTITY = Identity("tenant-1", "acme.sync", "install-1", None)


def schedule(number: int, payload: object = None) -> dict[str, Any]:
    return {
        "id": f"s-{number}",
        "endpointPath": "/sync",
        "endpointMethod": "POST",
        "cron": "0 * * * *",
        "timezone": "UTC",
        "enabled": True,
        "payload": payload,
    }


class Counted(LargeWorkQueue):
    """Counts the pieces of each owner, and rests for no time."""

    def __init__(self) -> None:
        super().__init__(clock=lambda: 0.0)
        self.pieces: list[str] = []

    async def run(self, name: str, work: Any) -> Any:
        self.pieces.append(name)
        return await super().run(name, work)


class Server:
    """Answers with ``pages`` in turn, and keeps what it was asked."""

    def __init__(self, *pages: dict[str, Any], dialect: str = "prd") -> None:
        self.pages = list(pages)
        self.asked: list[dict[str, Any]] = []
        self.large_work = Counted()
        self.port = HttpAlgaServer(
            "https://alga.example",
            SecretStr("token"),
            dialect=DIALECTS[dialect],
            transport=httpx.MockTransport(self._answer),
            large_work=self.large_work,
        )

    def _answer(self, request: httpx.Request) -> httpx.Response:
        self.asked.append(json.loads(request.content))
        return httpx.Response(200, json=self.pages[min(len(self.asked), len(self.pages)) - 1])

    async def list(self) -> list[str]:
        return [schedule.id for schedule in await self.port.list_schedules(IDENTITY, monotonic() + 60)]

    async def list_pages(self) -> list[SchedulePage]:
        return [page async for page in self.port.schedule_pages(IDENTITY, monotonic() + 60)]


async def test_pages_are_asked_for_until_one_has_no_cursor() -> None:
    server = Server(
        {"schedules": [schedule(1), schedule(2)], "nextCursor": "2"},
        {"schedules": [schedule(3)], "nextCursor": "3"},
        {"schedules": [schedule(4)], "nextCursor": None},
    )

    assert await server.list() == ["s-1", "s-2", "s-3", "s-4"]
    assert server.asked == [{"paged": True}, {"paged": True, "cursor": "2"}, {"paged": True, "cursor": "3"}]


async def test_a_server_that_knows_no_pages_is_asked_once_as_ever() -> None:
    server = Server({"schedules": [schedule(1)], "nextCursor": "1"}, dialect="alga")

    assert await server.list() == ["s-1"]
    assert server.asked == [{"operation": "list"}]


async def test_a_server_that_ignores_the_wish_for_pages_gives_all() -> None:
    server = Server({"schedules": [schedule(1), schedule(2)]})

    assert await server.list() == ["s-1", "s-2"]
    assert len(server.asked) == 1


@pytest.mark.parametrize(
    "page",
    [
        {"schedules": [schedule(1)], "nextCursor": "1"},
        {"schedules": [], "nextCursor": "1"},
    ],
)
async def test_pages_without_an_end_are_refused(
    page: dict[str, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(client, "MAX_MEMBERS", 20)
    server = Server(page)

    with pytest.raises(HostCallError, match="has no end") as caught:
        await server.list()

    assert caught.value.host_code is HostCallCode.INTERNAL
    assert len(server.asked) <= 20


async def test_pages_have_no_more_bytes_together_than_one_answer_may_have(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(client, "MAX_ANSWER_BYTES", 10_000)
    server = Server({"schedules": [schedule(1, ["a" * 4_000])], "nextCursor": "1"})

    with pytest.raises(HostCallError, match="has no end"):
        await server.list()

    assert len(server.asked) == 3


async def test_small_pages_are_read_in_one_go() -> None:
    server = Server({"schedules": [schedule(1), schedule(2)]})

    (page,) = await server.list_pages()

    assert not page.large
    assert server.large_work.pieces == []


async def test_large_pages_are_read_a_schedule_at_a_time_in_turns_of_the_tenant() -> None:
    server = Server({"schedules": [schedule(number, ["a" * 20_000]) for number in range(3)]})

    (page,) = await server.list_pages()

    assert page.large
    assert [schedule.id for schedule in page.schedules] == ["s-0", "s-1", "s-2"]
    assert server.large_work.pieces == ["tenant-1"] * 5, "two of the document, then each schedule"


async def test_a_large_list_of_a_server_without_pages_is_parsed_in_pieces() -> None:
    server = Server({"schedules": [schedule(number, ["a" * 20_000]) for number in range(40)]}, dialect="alga")

    (page,) = await server.list_pages()

    assert len(page.schedules) == 40
    assert len(server.large_work.pieces) == 40 + 21, (
        "two schedules a piece of the document, then each schedule"
    )


async def test_a_schedule_of_a_large_page_that_cannot_be_read_is_named() -> None:
    broken = [schedule(0, ["a" * 40_000]), {**schedule(1), "cron": 5}]

    with pytest.raises(HostCallError, match=r"wrong shape at schedules\.1\.cron"):
        await Server({"schedules": broken}).list()


@pytest.mark.parametrize("listed", [{}, "text", 5, None])
async def test_a_large_answer_without_a_list_is_refused(listed: object) -> None:
    with pytest.raises(HostCallError, match="wrong shape at schedules"):
        await Server({"schedules": listed, "more": "a" * 40_000}).list()


@pytest.mark.parametrize("recorded_bytes", [0, RECORDED_BYTES])
async def test_a_guest_gets_a_long_list_as_it_gets_a_short_one(recorded_bytes: int) -> None:
    payloads = [["a" * 20_000, None, {"b": [1, 2.5, "\u00e4"]}], {"c": None}, ["a" * 20_000]]
    server = Server(
        {
            "schedules": [schedule(number, payload) for number, payload in enumerate(payloads)],
            "nextCursor": "3",
        },
        {"schedules": [schedule(3)]},
    )
    large_work = Counted()
    execution = Execution(
        granted=frozenset({"cap:scheduler.manage"}),
        alga=server.port,
        deadline=monotonic() + 60,
        context=ExecutionContext(
            tenant_id="tenant-1", extension_id="e", content_hash="sha256:0", install_id="i"
        ),
        recorded_bytes_left=recorded_bytes,
    )

    class Codec:
        def decode(self, request: dict[str, object], /) -> object:
            return request

        def encode(self, reply: Mapping[str, object], /) -> bytes:
            return CoreCodec().encode(reply)

        def piece(self, item: object, /) -> object:
            return CoreCodec().piece(item)

    operation = OPERATIONS["scheduler.list"]
    reply = await Gate(Telemetry(), large_work).call(execution, operation, {}, Codec())

    listed: Any = msgpack.unpackb(reply)["ok"]["schedules"]
    assert [item["id"] for item in listed] == ["s-0", "s-1", "s-2", "s-3"]
    assert [item.get("payload") for item in listed] == [*payloads, None]
    assert large_work.pieces == ["tenant-1"] * 3
    (record,) = execution.host_calls
    assert record.elided is (recorded_bytes == 0)
