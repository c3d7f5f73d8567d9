"""Which event loop programs that serve take."""

from __future__ import annotations

import asyncio

import anyio
import pytest

from alga_common.system import event_loop


async def loop_module() -> str:
    return type(asyncio.get_running_loop()).__module__


def test_uvloop_is_taken_where_it_is_installed() -> None:
    pytest.importorskip("uvloop")

    assert anyio.run(loop_module, backend_options=event_loop.loop_options()) == "uvloop"


def test_without_it_the_loop_is_asyncios_own(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(event_loop, "find_spec", lambda _: None)

    assert anyio.run(loop_module, backend_options=event_loop.loop_options()).startswith("asyncio.")
