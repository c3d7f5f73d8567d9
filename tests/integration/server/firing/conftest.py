"""The runner that firing calls."""

from __future__ import annotations

import httpx
import pytest

from tests.support.server import FakeRunner


@pytest.fixture
def runner_transport(fake_runner: FakeRunner) -> httpx.AsyncBaseTransport:
    return httpx.MockTransport(fake_runner)
