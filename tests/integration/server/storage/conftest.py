"""Databases whose writes share transactions."""

from __future__ import annotations

from collections.abc import AsyncIterator

import pytest

from alga_server.storage import together
from alga_server.storage.database import Database
from tests.support.patience import PATIENCE_S


@pytest.fixture
def no_pause_ends_a_group(monkeypatch: pytest.MonkeyPatch) -> None:
    """However slow the machine is, all writes that wait join a transaction."""
    monkeypatch.setattr(together, "_MAX_S", PATIENCE_S)


@pytest.fixture(params=["memory", "file"])
async def database(request: pytest.FixtureRequest, database_url: str) -> AsyncIterator[Database]:
    database = Database("sqlite://" if request.param == "memory" else database_url)
    await database.start()
    yield database
    await database.aclose()
