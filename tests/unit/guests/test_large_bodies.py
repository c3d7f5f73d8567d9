"""Bodies that take milliseconds are decoded and encoded one at a time for each tenant, and arrive unchanged."""

from __future__ import annotations

import random

import msgpack
import pytest

from alga_common.sharing.large_work import LARGE_BYTES
from alga_runner import ExecuteRequest
from tests.support.bundles import make_bundle
from tests.support.requests import execute_request

pytestmark = pytest.mark.anyio

SIZES = [1_000, LARGE_BYTES * 3 // 4 - 3, LARGE_BYTES * 3 // 4 + 3, LARGE_BYTES, 1_000_000]

HEAD = b"\x82\xa6status\xcc\xc8\xa4body\xc6"


@pytest.fixture
def echo(guest_wat) -> str:
    """A guest whose response's body is its request's document."""
    at = 1024 + len(HEAD)
    store = "\n".join(
        f"(i32.store8 (i32.const {at + byte}) (i32.shr_u (local.get $n) (i32.const {24 - 8 * byte})))"
        for byte in range(4)
    )
    handler = f"""(local $n i32)
        (local.set $n (call $request (i32.const {at + 4}) (i32.const 2000000)))
        {store}
        (call $respond (i32.const 1024) (i32.add (local.get $n) (i32.const {len(HEAD) + 4})))"""
    wat: str = guest_wat(
        handler,
        imports='(import "alga:abi" "request" (func $request (param i32 i32) (result i32)))',
        data=HEAD,
        pages=48,
    )
    return wat


@pytest.mark.parametrize("size", SIZES)
async def test_a_body_of_any_size_comes_through(observe, echo: str, size: int):
    body = random.Random(size).randbytes(size)

    observation = await observe(echo, body=body)

    assert observation.error is None
    document = msgpack.unpackb(observation.response.body())
    assert document["http"]["body"] == body


async def test_a_large_body_that_is_not_base64_is_refused_like_a_small_one(
    runner, request_for_text, guest_wat
):
    observation = await runner.observe(request_for_text(guest_wat(), "QUFB" * LARGE_BYTES + "!"))

    assert observation.error.code == "body_not_base64"


async def test_a_large_body_over_its_limit_is_refused_like_a_small_one(runner, request_for_text, guest_wat):
    observation = await runner.observe(request_for_text(guest_wat(), "QUFB" * (6 << 20)))

    assert observation.error.code == "request_invalid"


async def test_the_deadline_ends_the_wait_for_heavy_work(runner, request_for_text, guest_wat):
    await runner.observe(request_for_text(guest_wat(), "QUFB"))  # loaded
    await runner.large_work.run("acme", lambda: None)
    runner.large_work.known["acme"].rests_until = float("inf")

    observation = await runner.observe(request_for_text(guest_wat(), "QUFB" * LARGE_BYTES, timeout_ms=5))

    assert observation.error.code == "deadline_exceeded"
    assert runner.admission.executing == 0


async def test_reading_a_response_that_may_take_long_waits_for_the_owner_s_turn(observe, runner, guest_wat):
    headers = [{"name": f"x-{number}", "value": "v" * 100} for number in range(100)]
    data = msgpack.packb({"status": 200, "headers": headers})
    guest = guest_wat(f"(call $respond (i32.const 1024) (i32.const {len(data)}))", data=data)
    assert (await observe(guest)).response is not None  # loaded
    await runner.large_work.run("acme", lambda: None)
    runner.large_work.known["acme"].rests_until = float("inf")

    observation = await observe(guest, timeout_ms=50)

    assert observation.error.code == "deadline_exceeded"


@pytest.fixture
def request_for_text(bundles):
    """A request whose ``body_b64`` is the given text."""

    def build(guest: str, body_b64: str, **limits: int) -> ExecuteRequest:
        http = {"path": "/", "body_b64": body_b64}
        return execute_request(bundles.add(make_bundle(guest)), http=http, limits=limits)

    return build
