"""Opened envelopes are kept within bounds, and dropped by themselves."""

from __future__ import annotations

import asyncio

import pytest

from alga_runner.secrets.cache import MAX_AGE_S, SecretCache

pytestmark = pytest.mark.anyio


def put(cache: SecretCache, key: str, tenant: str = "acme", secret: str = "x", age_s: float = 10.0) -> None:
    cache.put(key.encode(), tenant, {"": secret}, age_s)


async def test_the_oldest_of_all_is_dropped_first() -> None:
    cache = SecretCache(max_entries=4)
    for number in range(5):
        put(cache, f"{number}", f"tenant-{number}")

    assert [cache.get(f"{number}".encode()) is not None for number in range(5)] == [False] + [True] * 4


async def test_a_tenant_drops_only_its_own_beyond_its_share() -> None:
    cache = SecretCache(max_entries=8)
    put(cache, "other", "other")
    for number in range(5):
        put(cache, f"{number}")

    assert cache.get(b"other") is not None
    assert len(cache) == 3


async def test_bytes_are_bounded_for_a_tenant_and_for_all() -> None:
    cache = SecretCache(max_bytes=40)
    put(cache, "too large", secret="x" * 11)
    put(cache, "a", secret="x" * 6)
    put(cache, "b", secret="x" * 6)
    for number in range(4):
        put(cache, f"{number}", f"tenant-{number}", secret="x" * 10)

    assert [cache.get(key) is not None for key in (b"too large", b"a", b"b", b"0")] == [False] * 3 + [True]


@pytest.mark.parametrize("age_s", [0.0, -1.0])
async def test_what_is_over_is_not_kept(age_s: float) -> None:
    cache = SecretCache()
    put(cache, "a", age_s=age_s)

    assert len(cache) == 0


async def test_plaintext_is_dropped_when_its_time_is_over_without_another_call() -> None:
    cache, loop = SecretCache(), asyncio.get_running_loop()
    timers = []

    class Loop:
        def call_later(self, delay: float, *call: object) -> asyncio.TimerHandle:
            timers.append((delay, call))
            return loop.call_later(3600, lambda: None)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("alga_runner.secrets.cache.asyncio.get_running_loop", Loop)
        put(cache, "a", age_s=3600)
        put(cache, "b", age_s=2.5)
    assert [delay for delay, _ in timers] == [MAX_AGE_S, 2.5]
    for _, (call, key) in timers:
        call(key)  # type: ignore[operator]

    assert len(cache) == 0
