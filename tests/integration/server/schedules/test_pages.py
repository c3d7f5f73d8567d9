"""A list of many payloads is read page by page: all of them for a runner that asks for all, or a page at a time."""

from __future__ import annotations

from typing import Any

import pytest

from alga_server.schedules import pages
from tests.support.server import Alga, Install

pytestmark = pytest.mark.anyio

PAYLOAD = {"x": "a" * 400}


@pytest.fixture(autouse=True)
def small_pages(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(pages, "PAGE_BYTES", 1_000)


async def page(install: Install, **members: Any) -> tuple[list[str], str | None]:
    """The ids of one page, and the cursor of the next."""
    response = await install.call("list", paged=True, **members)
    assert response.status_code == 200, response.text
    body = response.json()
    return [schedule["id"] for schedule in body["schedules"]], body.get("nextCursor")


async def all_pages(install: Install) -> list[list[str]]:
    ids, cursor = await page(install)
    listed = [ids]
    while cursor is not None:
        ids, cursor = await page(install, cursor=cursor)
        listed.append(ids)
    return listed


async def test_a_page_ends_with_the_payload_that_fills_it(install: Install) -> None:
    ids = [await install.create(payload=PAYLOAD) for _ in range(7)]

    assert await all_pages(install) == [ids[:3], ids[3:6], ids[6:]]


async def test_a_payload_larger_than_a_page_is_a_page_of_its_own(install: Install) -> None:
    ids = [await install.create(payload={"x": "a" * 5_000}) for _ in range(2)]

    assert await all_pages(install) == [ids[:1], ids[1:]]


async def test_schedules_without_payloads_are_one_page(install: Install) -> None:
    ids = [await install.create() for _ in range(20)]

    assert await page(install) == (ids, None)


async def test_a_runner_that_asks_for_no_pages_gets_all_schedules_and_no_cursor(install: Install) -> None:
    ids = [await install.create(payload=PAYLOAD, name=f"n{number}") for number in range(7)]

    body = (await install.call("list")).json()

    assert [schedule["id"] for schedule in body["schedules"]] == ids
    assert body.keys() == {"schedules"}
    assert all(schedule["payload"] == PAYLOAD for schedule in body["schedules"])


async def test_schedules_that_come_and_go_between_pages_hide_no_other(install: Install) -> None:
    ids = [await install.create(payload=PAYLOAD) for _ in range(6)]
    first, cursor = await page(install)
    await install.call("delete", scheduleId=first[-1])
    new = await install.create(payload=PAYLOAD)

    second, cursor = await page(install, cursor=cursor)
    third, cursor = await page(install, cursor=cursor)

    assert [*second, *third] == [*ids[3:], new]
    assert cursor is None


@pytest.mark.parametrize("cursor", ["", "-1", "1.5", "x", "1" * 10, "\u0661", 5, [], {}])
async def test_a_cursor_of_another_form_is_refused(install: Install, cursor: object) -> None:
    response = await install.call("list", paged=True, cursor=cursor)

    assert response.status_code == 400
    assert response.json()["details"]["fieldErrors"] == {"cursor": ["Invalid cursor"]}


async def test_a_cursor_of_another_install_shows_nothing_of_it(alga: Alga, install: Install) -> None:
    await install.create(payload=PAYLOAD)
    other = await alga.install("tenant-b", name="com.example.other")

    assert await page(other, cursor="0") == ([], None)


async def test_pages_of_a_long_list_are_read_in_turns_of_their_own(
    install: Install, monkeypatch: pytest.MonkeyPatch
) -> None:
    for _ in range(7):
        await install.create(payload=PAYLOAD)
    turns, of = [], type(install.alga.server._services.turns).of
    monkeypatch.setattr(
        type(install.alga.server._services.turns),
        "of",
        lambda self, tenant, **options: turns.append(tenant) or of(self, tenant, **options),
    )

    await install.call("list")

    assert turns == [install.tenant] * 3
