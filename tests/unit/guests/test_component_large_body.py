"""A large body is copied in the CPU thread, a piece at a time: the event loop goes on meanwhile."""

from __future__ import annotations

import base64
import threading

import pytest

from alga_runner import Runner, Settings
from alga_runner.bundles import MemoryBundles
from alga_runner.engine.component import guest as component_guest
from alga_runner.engine.component.lower import Arena, lowerer, take_arena
from alga_runner.engine.component.types import ValueType
from alga_runner.guests.component import LARGE_BODY_BYTES
from tests.support.bundles import make_bundle
from tests.support.component_world import OK, world_component
from tests.support.requests import execute_request

CPU_THREAD = "alga-runner-cpu"


@pytest.mark.anyio
@pytest.mark.parametrize(("size", "in_cpu_thread"), [(LARGE_BODY_BYTES, True), (1_000, False)])
async def test_a_large_body_is_copied_in_the_cpu_thread_and_any_other_on_the_loop(
    settings: Settings, monkeypatch: pytest.MonkeyPatch, size: int, in_cpu_thread: bool
) -> None:
    threads: list[str] = []

    def noted() -> Arena:
        threads.append(threading.current_thread().name)
        return take_arena()

    bundles = MemoryBundles()
    content_hash = bundles.add(make_bundle(world_component(OK)))
    body = base64.b64encode(bytes(size)).decode()
    large = execute_request(content_hash, http={"body_b64": body})
    async with Runner(settings, bundles=bundles) as runner:
        while CPU_THREAD in threads[-1:] or not threads:  # the first of a program may start there
            monkeypatch.setattr(component_guest, "take_arena", noted)
            await runner.execute(execute_request(content_hash))
        threads.clear()

        for _ in range(3):
            assert (await runner.execute(large)).status == 200
        await runner.execute(execute_request(content_hash))

    *of_large, of_small = threads
    assert {name == CPU_THREAD for name in of_large} == {in_cpu_thread}
    assert of_small != CPU_THREAD  # a large body does not decide for the next one


def test_a_list_of_bytes_is_written_in_pieces_as_it_is_in_one(monkeypatch: pytest.MonkeyPatch) -> None:
    of = ValueType("list", element=ValueType("u8"))
    data = bytes(range(256)) * 5
    monkeypatch.setattr("alga_runner.engine.component.lower.BYTES_AT_A_TIME", 7)
    arena = Arena()

    for _ in range(2):  # the second finds the memory there
        lowerer(of)(data, arena)
        assert arena.bytes == len(data)
        written = arena._expanded
        assert written is not None
        assert bytes(written[8 : 32 * len(data) : 32]) == data
        assert set(written[0 : 32 * len(data) : 32]) == {2}
        arena.reset()
