"""An execution's record and log line name who signed its bundle."""

from __future__ import annotations

from dataclasses import replace

import pytest

from alga_runner import Runner, Settings
from alga_runner.bundles import MemoryBundles
from tests.support.bundles import make_bundle
from tests.support.requests import execute_request

pytestmark = pytest.mark.anyio


@pytest.mark.parametrize("signer", ["Acme releases", None])
async def test_the_record_and_the_line_of_an_execution_name_the_signer(
    settings: Settings, guest_wat, caplog: pytest.LogCaptureFixture, signer: str | None
) -> None:
    caplog.set_level("INFO", "alga_runner")
    bundles = MemoryBundles()
    content_hash = bundles.add(replace(make_bundle(guest_wat()), signer=signer))

    async with Runner(settings, bundles=bundles) as runner:
        seen = await runner.observe(execute_request(content_hash))

    assert seen.signer == signer
    [line] = [record for record in caplog.records if getattr(record, "action", "") == "execution"]
    assert getattr(line, "signer", None) == signer
