from __future__ import annotations

from collections.abc import AsyncIterator

import pytest

from tests.support.host_calls import Calling, calling


@pytest.fixture(scope="module")
async def _running() -> AsyncIterator[Calling]:
    async with calling() as running:
        yield running


@pytest.fixture
def place(_running: Calling) -> Calling:
    """A runner, and an Alga server that answers as the test wants."""
    _running.start_again()
    return _running
