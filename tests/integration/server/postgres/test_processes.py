"""Rules that hold over servers in processes of their own, on one PostgreSQL, under concurrent calls."""

from __future__ import annotations

import json
import sys
from collections import Counter
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path
from typing import Any

import anyio
import pytest
from anyio.streams.text import TextReceiveStream

from alga_server import ServerSettings
from tests.support.patience import PATIENCE_S
from tests.support.server import Alga, Install

pytestmark = [pytest.mark.anyio, pytest.mark.postgres]

PROGRAM = Path(__file__).with_name("calling_process.py")
PROCESSES = 3

Call = dict[str, Any]
Everywhere = Callable[[Sequence[Call]], Awaitable[list[tuple[int, Any]]]]


class Calling:
    """One other process."""

    def __init__(self, process: Any) -> None:
        self._stdin = process.stdin
        self._stdout = TextReceiveStream(process.stdout)
        self._said = ""

    async def read_line(self) -> str:
        while "\n" not in self._said:
            self._said += await self._stdout.receive()
        line, _, self._said = self._said.partition("\n")
        return line

    async def make(self, calls: Sequence[Call], answers: list[tuple[int, Any]]) -> None:
        await self._stdin.send(json.dumps(calls).encode() + b"\n")
        answers += [(status, body) for status, body in json.loads(await self.read_line())]


@asynccontextmanager
async def calling(settings: ServerSettings) -> AsyncIterator[Calling]:
    changed = settings.model_dump(include=settings.model_fields_set)
    for name, value in changed.items():
        changed[name] = value.get_secret_value() if hasattr(value, "get_secret_value") else value
    command = [sys.executable, str(PROGRAM), json.dumps(changed)]
    async with await anyio.open_process(command, stderr=None) as process:
        try:
            other = Calling(process)
            yield other
        finally:
            process.kill()


@pytest.fixture
def settings(settings: ServerSettings) -> ServerSettings:
    return ServerSettings(
        **{name: getattr(settings, name) for name in settings.model_fields_set}, schedule_changes_burst=50
    )


@pytest.fixture
async def everywhere(settings: ServerSettings) -> AsyncIterator[Everywhere]:
    """Make concurrent calls, spread over the processes; all answers."""
    async with AsyncExitStack() as stack:
        others = [await stack.enter_async_context(calling(settings)) for _ in range(PROCESSES)]
        for other in others:
            assert await other.read_line() == "ready"

        async def make(calls: Sequence[Call]) -> list[tuple[int, Any]]:
            answers: list[tuple[int, Any]] = []
            with anyio.fail_after(PATIENCE_S):
                async with anyio.create_task_group() as group:
                    for number, other in enumerate(others):
                        group.start_soon(other.make, calls[number::PROCESSES], answers)
            return answers

        yield make


def asking(install: Install, operation: str, **members: Any) -> Call:
    body = {"operation": operation, **members}
    return {"method": "POST", "url": install.path, "headers": install.headers(), "json": body}


def creating(install: Install, **members: Any) -> Call:
    return asking(install, "create", endpoint="/sync", cron="0 * * * *", **members)


async def test_a_hundred_creates_leave_fifty(install: Install, everywhere: Everywhere) -> None:
    answers = await everywhere([creating(install, name=f"{number}") for number in range(100)])

    codes = Counter((status, body.get("code")) for status, body in answers)
    assert codes == {(201, None): 50, (400, "QUOTA_EXCEEDED"): 50}
    assert len(await install.list()) == 50


async def test_of_one_name_there_is_one(install: Install, everywhere: Everywhere) -> None:
    answers = await everywhere([creating(install, name="One") for _ in range(40)])

    refused = [body["fieldErrors"] for status, body in answers if status == 400]
    assert refused == [{"name": "Schedule name already in use for this extension"}] * 39
    assert len(await install.list()) == 1


async def test_of_one_key_there_is_one_result(install: Install, everywhere: Everywhere) -> None:
    answers = await everywhere([creating(install, idempotencyKey="request:1") for _ in range(40)])

    assert {status for status, _ in answers} == {201}
    assert len({body["scheduleId"] for _, body in answers}) == 1
    assert len(await install.list()) == 1


async def test_the_rate_is_one_for_all_of_them(install: Install, everywhere: Everywhere) -> None:
    schedule_id = await install.create()

    answers = await everywhere(
        [asking(install, "update", scheduleId=schedule_id, payload={"n": number}) for number in range(100)]
    )

    assert Counter(status for status, _ in answers) == {200: 49, 429: 51}


async def test_installs_of_two_tenants_do_not_wait_for_each_others_quota(
    alga: Alga, everywhere: Everywhere
) -> None:
    ours, theirs = await alga.install("tenant-a"), await alga.install("tenant-b")

    answers = await everywhere([creating(one) for one in (ours, theirs) for _ in range(40)])

    assert {status for status, _ in answers} == {201}
    assert len(await ours.list()) == len(await theirs.list()) == 40


async def test_a_tenant_installs_an_extension_once(alga: Alga, everywhere: Everywhere) -> None:
    extension = (await alga.publish())["extensionId"]
    url = "/api/admin/tenants/tenant-a/installs"
    headers = {"authorization": f"Bearer {alga.server._services.settings.admin_token.get_secret_value()}"}
    call = {"method": "POST", "url": url, "headers": headers, "json": {"extensionId": extension}}

    answers = await everywhere([call] * 20)

    assert Counter(status for status, _ in answers) == {201: 1, 409: 19}
