"""What guests log, in the streams of a real Redis (alga-contract 4, "Debug stream")."""

from __future__ import annotations

import os
from collections.abc import AsyncIterator, Callable
from typing import Any
from uuid import uuid4

import anyio
import anyio.lowlevel
import pytest
from pydantic import SecretStr
from redis.asyncio import Redis

from alga_runner import Runner, Settings
from alga_runner.bundles import MemoryBundles
from tests.support.alga import HoldingAlga
from tests.support.bundles import make_bundle
from tests.support.guests import LIST_IMPORT, guest_wat
from tests.support.patience import PATIENCE_S
from tests.support.requests import execute_request

URL = os.environ.get("ALGA_TEST_REDIS", "")

pytestmark = [
    pytest.mark.anyio,
    pytest.mark.redis,
    pytest.mark.skipif(not URL, reason="needs a Redis, which `make test-redis` makes"),
]

EMIT = '(import "alga:log" "emit" (func $emit (param i32 i32 i32)))'
WRITE = '(import "wasi_snapshot_preview1" "fd_write" (func $write (param i32 i32 i32 i32) (result i32)))'
ANSWERS = "(call $respond (i32.const 0) (global.get $ok))"


@pytest.fixture
async def redis() -> AsyncIterator[Redis]:
    client: Redis = Redis.from_url(URL, decode_responses=True)
    yield client
    await client.aclose()


@pytest.fixture
def with_stream(settings: Settings) -> Callable[..., Settings]:
    """Settings with a stream prefix of this test's own; other settings are merged in."""

    def build(**changes: Any) -> Settings:
        own = {"debug_redis_url": SecretStr(URL), "debug_redis_stream_prefix": f"{uuid4()}:"}
        return settings.model_copy(update=own | changes)

    return build


async def run(
    settings: Settings, guest: str, *, times: int = 1, tenant: str = "Acme", **context: Any
) -> None:
    """Execute ``guest`` and end the runner, which sends what waits."""
    bundles = MemoryBundles()
    content_hash = bundles.add(make_bundle(guest))
    async with Runner(settings, bundles=bundles) as runner:
        for _ in range(times):
            await runner.observe(execute_request(content_hash, tenant=tenant, context=context))


def logging_guest(text: bytes, level: int = 1) -> str:
    call = f"(call $emit (i32.const {level}) (i32.const 1024) (i32.const {len(text)}))"
    return guest_wat(f"{call} {ANSWERS}", imports=EMIT, data=text)


async def test_a_line_that_a_guest_logs_is_an_event_that_names_the_execution(redis, with_stream) -> None:
    settings = with_stream()

    await run(settings, logging_guest(b"hello", level=2), request_id="request-1", version_id="v1")

    ((_, event),) = await redis.xrange(f"{settings.debug_redis_stream_prefix}acme:ext")
    assert event.pop("ts").isdigit()
    assert event == {
        "level": "warn",
        "stream": "log",
        "tenant": "Acme",
        "extension": "ext",
        "install": "install-1",
        "request": "request-1",
        "version": "v1",
        "message": "hello",
        "truncated": "0",
    }


@pytest.mark.parametrize(("descriptor", "stream", "level"), [(1, "stdout", "info"), (2, "stderr", "error")])
async def test_what_a_guest_writes_names_the_stream(redis, with_stream, descriptor, stream, level) -> None:
    settings = with_stream()
    vector = (1032).to_bytes(4, "little") + (6).to_bytes(4, "little")
    write = f"(drop (call $write (i32.const {descriptor}) (i32.const 1024) (i32.const 1) (i32.const 2048)))"

    await run(settings, guest_wat(f"{write} {ANSWERS}", imports=WRITE, data=vector + b"hello\n"))

    ((_, event),) = await redis.xrange(f"{settings.debug_redis_stream_prefix}acme:ext")
    assert (event["stream"], event["level"], event["message"]) == (stream, level, "hello")


async def test_a_long_message_is_cut_between_characters(redis, with_stream) -> None:
    settings = with_stream(debug_max_event_bytes=64)

    await run(settings, logging_guest("é".encode() * 40 + b"x"))

    ((_, event),) = await redis.xrange(f"{settings.debug_redis_stream_prefix}acme:ext")
    assert (event["message"], event["truncated"]) == ("é" * 32, "1")


async def test_a_stream_keeps_about_as_many_events_as_the_setting_has(redis, with_stream) -> None:
    settings = with_stream(debug_redis_max_events=100)

    await run(settings, logging_guest(b"hello"), times=400)

    kept = await redis.xlen(f"{settings.debug_redis_stream_prefix}acme:ext")
    assert 100 <= kept < 300


async def test_each_tenant_has_a_stream_of_its_own(redis, with_stream) -> None:
    settings = with_stream()

    await run(settings, logging_guest(b"one"), tenant="one")
    await run(settings, logging_guest(b"two"), tenant="two")

    for tenant in ("one", "two"):
        ((_, event),) = await redis.xrange(f"{settings.debug_redis_stream_prefix}{tenant}:ext")
        assert event["message"] == tenant


async def test_an_event_is_sent_while_the_guest_still_runs(redis, with_stream) -> None:
    settings, alga, bundles = with_stream(), HoldingAlga(), MemoryBundles()
    emit = "(call $emit (i32.const 1) (i32.const 1025) (i32.const 5))"
    asks = "(drop (call $list (i32.const 1024) (i32.const 1) (i32.const 2048) (i32.const 1024)))"
    guest = guest_wat(f"{emit} {asks} {ANSWERS}", imports=EMIT + LIST_IMPORT, data=b"\xc0hello")
    request = execute_request(bundles.add(make_bundle(guest)), providers=["cap:scheduler.manage"])

    async with Runner(settings, alga=alga, bundles=bundles) as runner, anyio.create_task_group() as tasks:
        tasks.start_soon(runner.observe, request)
        with anyio.fail_after(PATIENCE_S):
            while not await redis.exists(f"{settings.debug_redis_stream_prefix}acme:ext"):
                await anyio.lowlevel.checkpoint()
        assert alga.asked == ["acme"]
        alga.let_go()
