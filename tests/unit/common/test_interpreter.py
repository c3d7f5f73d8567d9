"""The interpreter of a process that serves: what it loaded is frozen, and threads wait little for the GIL."""

from __future__ import annotations

import gc
import sys
from collections.abc import Iterator

import pytest

from alga_common.system.interpreter import SWITCH_S, prepare_to_serve
from alga_server import Server, ServerSettings
from alga_server.cli import serving

MANY = 1_000


@pytest.fixture(autouse=True)
def _switch_interval() -> Iterator[None]:
    before = sys.getswitchinterval()
    yield
    sys.setswitchinterval(before)


def test_what_was_loaded_is_visited_by_no_collection() -> None:
    before = gc.get_freeze_count()
    loaded = [[number] for number in range(MANY)]

    prepare_to_serve()

    assert gc.get_freeze_count() >= before + len(loaded)


@pytest.mark.parametrize(("before", "after"), [(0.005, SWITCH_S), (SWITCH_S / 5, SWITCH_S / 5)])
def test_threads_switch_sooner_and_never_later(before: float, after: float) -> None:
    sys.setswitchinterval(before)

    prepare_to_serve()

    assert sys.getswitchinterval() == pytest.approx(after, rel=0.02)


@pytest.mark.anyio
async def test_the_server_is_ready_once_its_interpreter_is_prepared(monkeypatch: pytest.MonkeyPatch) -> None:
    steps: list[str] = []
    monkeypatch.setattr(serving, "prepare_to_serve", lambda: steps.append("prepared"))
    settings = ServerSettings(database_url="sqlite://")
    async with Server(settings) as server:
        uvicorn = serving._Serving(server, settings, ready=lambda: steps.append("ready"))
        uvicorn.config.load()
        uvicorn.lifespan = uvicorn.config.lifespan_class(uvicorn.config)
        with serving.listen("127.0.0.1", 0) as listener:
            await uvicorn.startup([listener])
            await uvicorn.shutdown([listener])

    assert steps == ["prepared", "ready"]
