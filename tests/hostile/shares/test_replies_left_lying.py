"""Replies that a guest does not take cost it as much as those that it takes: the host made and keeps them."""

from __future__ import annotations

from collections.abc import AsyncIterator

import pytest

from alga_runner import Runner, Settings
from alga_runner.alga import Identity, NoAlgaServer
from alga_runner.bundles import MemoryBundles
from alga_runner.models import ScheduleInfo
from tests.support.bundles import make_bundle
from tests.support.guests import LIST_IMPORT, guest_wat
from tests.support.patience import PATIENT
from tests.support.requests import execute_request

pytestmark = pytest.mark.anyio

PAYLOAD = 10_000
REPLIES = 5
LIST = "(call $list (i32.const 1024) (i32.const 1) (i32.const 0) (i32.const 0))"
FETCH = '(import "alga:abi" "reply" (func $reply (param i32 i32) (result i32)))'


class FullAlga(NoAlgaServer):
    """Has one schedule with a large payload; counts how often it was asked."""

    def __init__(self) -> None:
        self.asked = 0

    async def list_schedules(self, identity: Identity, deadline: float) -> list[ScheduleInfo]:
        self.asked += 1
        return [
            ScheduleInfo(
                id="s",
                endpoint_path="/run",
                endpoint_method="POST",
                cron="0 4 * * *",
                timezone="UTC",
                enabled=True,
                payload={"x": "a" * PAYLOAD},
            )
        ]


@pytest.fixture
def alga() -> FullAlga:
    return FullAlga()


@pytest.fixture
async def runner(alga: FullAlga, bundles: MemoryBundles) -> AsyncIterator[Runner]:
    settings = Settings(max_copied_bytes=REPLIES * (PAYLOAD + 500), **PATIENT)
    async with Runner(settings, alga=alga, bundles=bundles) as runner:
        yield runner


async def test_a_guest_that_asks_again_and_again_and_reads_no_reply_meets_the_limit_of_copies(
    runner: Runner, alga: FullAlga, bundles: MemoryBundles
) -> None:
    guest = guest_wat(f"(loop $again (drop {LIST}) (br $again))", imports=LIST_IMPORT, data=b"\x80")
    request = execute_request(bundles.add(make_bundle(guest)), providers=["cap:scheduler.manage"])

    observation = await runner.observe(request)

    assert observation.error is not None
    assert observation.error.code == "copy_limit"
    assert alga.asked == REPLIES + 1


async def test_a_reply_that_is_fetched_later_counts_once(
    runner: Runner, alga: FullAlga, bundles: MemoryBundles
) -> None:
    takes = f"(drop {LIST}) (drop (call $reply (i32.const 2048) (i32.const 32768)))"
    guest = guest_wat(
        takes * (REPLIES - 1) + "(call $respond (i32.const 0) (global.get $ok))",
        imports=LIST_IMPORT + FETCH,
        data=b"\x80",
    )
    request = execute_request(bundles.add(make_bundle(guest)), providers=["cap:scheduler.manage"])

    observation = await runner.observe(request)

    assert observation.response is not None
