"""Host calls that write in one transaction: rates, keys and names hold in it, and each tenant pays for its own."""

from __future__ import annotations

from itertools import count
from typing import Any

import anyio
import pytest
from sqlalchemy import Connection

from alga_server import ServerSettings
from alga_server.http.internal import call
from tests.support.server import Install

from .test_together import while_another_writes

pytestmark = [pytest.mark.anyio, pytest.mark.usefixtures("no_pause_ends_a_group")]


@pytest.fixture
def settings(settings: ServerSettings) -> ServerSettings:
    return settings.model_copy(update={"schedule_changes_burst": 5})


async def statuses(install: Install, *bodies: dict[str, Any]) -> list[Any]:
    """Status and id of creates that waited together, in their order."""
    answers: list[Any] = [None] * len(bodies)

    async def create(number: int, body: dict[str, Any]) -> None:
        answer = await install.call("create", endpoint="/sync", cron="0 * * * *", **body)
        answers[number] = (answer.status_code, answer.json().get("scheduleId", answer.json().get("code")))

    async with while_another_writes(install.alga.server._services.database) as tasks:
        for number, body in enumerate(bodies):
            tasks.start_soon(create, number, body)
    return answers


async def test_a_repeat_in_its_groups_transaction_gets_the_first_answer(install: Install) -> None:
    first, again, other = await statuses(
        install, {"idempotencyKey": "k"}, {"idempotencyKey": "k"}, {"idempotencyKey": "k", "name": "N"}
    )

    assert first[0] == 201
    assert again == first
    assert other == (409, "CONFLICT")
    assert len(await install.list()) == 1


async def test_the_rate_counts_each_of_a_group(install: Install) -> None:
    answers = await statuses(install, *[{}] * 8)

    assert [status for status, _ in answers] == [201] * 5 + [429] * 3
    assert len(await install.list()) == 5


async def test_a_name_in_its_groups_transaction_is_taken(install: Install) -> None:
    answers = await statuses(install, {"name": "N"}, {"name": "N"}, {})

    assert [status for status, _ in answers] == [201, 400, 201]


async def test_a_tenant_pays_once_for_what_anothers_fault_has_repeated(
    install: Install, monkeypatch: pytest.MonkeyPatch
) -> None:
    times = count()
    monkeypatch.setattr(call, "thread_time", lambda: float(next(times)))
    services, failed = install.alga.server._services, list[LookupError]()

    def wrong(_: Connection) -> None:
        raise LookupError

    async def fail() -> None:
        try:
            await services.database.write_together(wrong)
        except LookupError as error:
            failed.append(error)

    async with while_another_writes(services.database) as tasks:
        tasks.start_soon(install.create)
        await anyio.wait_all_tasks_blocked()
        tasks.start_soon(fail)

    assert len(failed) == 1
    assert next(times) == 2 * 2  # it ran twice
    assert services.turns._large_work.charged_s == 1.0
