from __future__ import annotations

from collections.abc import AsyncIterator

import pytest

from tests.support.host_calls import Calling, calling


@pytest.fixture
async def place() -> AsyncIterator[Calling]:
    """A runner, and an Alga server that answers as the test wants."""
    async with calling() as running:
        yield running
