"""A runner that stops while others wait on it tells them so."""

from __future__ import annotations

import asyncio

import anyio
import pytest

from alga_runner import ExecuteRequest, Runner

pytestmark = pytest.mark.anyio


class NeverArrives:
    """A bundle source that is asked and does not answer."""

    def __init__(self) -> None:
        self.asked = anyio.Event()

    async def fetch(self, *_: str) -> None:
        self.asked.set()
        await anyio.sleep_forever()


async def test_an_execution_that_waits_for_its_bundle_is_told_that_the_runner_stopped(settings):
    bundles = NeverArrives()
    request = ExecuteRequest.model_validate(
        {
            "context": {"tenant_id": "acme", "extension_id": "com.example.test", "content_hash": "sha256:0"},
            "http": {"method": "GET", "path": "/"},
        }
    )
    async with Runner(settings, bundles=bundles) as runner:
        waiting = asyncio.ensure_future(runner.observe(request))
        await bundles.asked.wait()

    observation = await waiting

    assert observation.error is not None
    assert observation.error.code == "engine_unavailable"
    assert "stopped" in str(observation.error)
