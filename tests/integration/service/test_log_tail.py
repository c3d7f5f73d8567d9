"""The end of the guest's log in the answer, for a caller that asks for it."""

from __future__ import annotations

import httpx
import pytest

pytestmark = pytest.mark.anyio

EMIT = '(import "alga:log" "emit" (func $emit (param i32 i32 i32)))'
TRAP = "(unreachable)"
RESPOND = "(call $respond (i32.const 0) (global.get $ok))"


def logging_guest(text: str, *, then: str = RESPOND, times: int = 1) -> dict[str, object]:
    """The parts of a guest that logs ``text`` as an error so many times."""
    data = text.encode()
    emit = f"(call $emit (i32.const 3) (i32.const 1024) (i32.const {len(data)}))"
    return {"imports": EMIT, "data": data, "handler": emit * times + then}


async def asked(execute, publish, size: str, **guest) -> dict[str, object]:
    response: httpx.Response = await execute(
        publish(**logging_guest(**guest)), headers={"x-alga-log-tail": size}
    )
    assert response.status_code == 200
    document: dict[str, object] = response.json()
    return document


async def test_a_caller_that_asks_gets_the_end_of_the_log(execute, publish) -> None:
    answer = await asked(execute, publish, "2048", text="no such customer", times=2)

    assert answer["log_tail"] == "error: no such customer\nerror: no such customer"


async def test_a_guest_that_trapped_has_its_log_in_the_answer(execute, publish) -> None:
    answer = await asked(execute, publish, "2048", text="about to fail", then=TRAP)

    assert str(answer["error"]).startswith("execute_failed: guest_trap: ")
    assert answer["log_tail"] == "error: about to fail"


async def test_a_caller_that_does_not_ask_gets_four_members(execute, publish) -> None:
    for guest in (logging_guest("x"), logging_guest("x", then=TRAP)):
        response = await execute(publish(**guest))

        assert set(response.json()) == {"status", "headers", "body_b64", "error"}


@pytest.mark.parametrize("size", ["0", "", "-1", "many", "1e3", "99999999"])
async def test_a_size_that_is_none_is_not_asking(execute, publish, size: str) -> None:
    assert "log_tail" not in await asked(execute, publish, size, text="x")


async def test_the_log_is_cut_between_characters_and_the_end_is_kept(execute, publish) -> None:
    answer = await asked(execute, publish, "5", text="first, then äöü")

    assert answer["log_tail"] == "öü"  # the fifth byte before the end is half of an ä


async def test_the_log_is_bounded_by_the_runner(execute, publish) -> None:
    answer = await asked(execute, publish, "9999999", text="x" * 8000, times=4)

    assert len(str(answer["log_tail"])) == 16 * 1024


async def test_a_guest_that_logged_nothing_has_an_empty_end(execute, publish) -> None:
    response = await execute(publish(), headers={"x-alga-log-tail": "2048"})

    assert response.json()["log_tail"] == ""
