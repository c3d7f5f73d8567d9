"""A handler is called with the same path by the gateway and by a schedule."""

from __future__ import annotations

from urllib.parse import quote

import pytest

from tests.support.server import MANIFEST, Alga, FakeRunner, extension_archive

pytestmark = pytest.mark.anyio


@pytest.mark.parametrize("path", ["/sync", "/größe", "/a?b=c", "/a%20b", "/a#b", "/\x01\ufffe", "/a+b&c"])
async def test_a_declared_path_is_encoded_alike_at_both_doors(
    alga: Alga, fake_runner: FakeRunner, path: str
) -> None:
    endpoints = [{"method": "POST", "path": path, "handler": "dist/main"}]
    install = await alga.install(**{**MANIFEST, "api": {"endpoints": endpoints}})
    await install.ask("POST", quote(path))
    await install.create(endpoint=f"POST {path}")
    await alga.pass_time(hours=1)

    by_gateway, by_schedule = (asked["http"]["path"] for asked in fake_runner.asked)
    assert by_gateway == by_schedule


@pytest.mark.parametrize(("path", "status"), [("/" + "é" * 999, 201), ("/" + "é" * 1_000, 400)])
async def test_a_path_is_no_longer_than_every_database_can_index(alga: Alga, path: str, status: int) -> None:
    endpoints = [{"method": "POST", "path": path, "handler": "dist/main"}]
    archive = extension_archive(api={"endpoints": endpoints})
    answer = await alga.admin("POST", "/api/admin/extensions", content=archive)

    assert answer.status_code == status
    assert status == 201 or "api.endpoints[0].path is too long" in answer.json()["error"]
