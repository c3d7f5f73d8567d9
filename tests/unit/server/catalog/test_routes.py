"""The endpoints of versions that requests ask for again are read once, and bounded in memory."""

from __future__ import annotations

import json
from typing import Any, cast

import pytest
from sqlalchemy import Connection

from alga_runner.models import EndpointInfo
from alga_server.catalog import routes
from alga_server.catalog.routes import RouteCache

CONNECTION = cast("Connection", None)


@pytest.fixture
def read(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The versions that were read from the database, in order. Each has one endpoint."""
    versions: list[str] = []

    def endpoints(_: Any, version_id: str) -> list[EndpointInfo]:
        versions.append(version_id)
        return [EndpointInfo(id="1", method="GET", path=f"/{version_id}/:id", handler="é", schedulable=False)]

    monkeypatch.setattr(routes, "endpoints", endpoints)
    return versions


def test_a_version_is_read_once(read: list[str]) -> None:
    cache = RouteCache()

    all_kept = [cache.of(CONNECTION, version) for version in ("a", "b", "a")]

    assert read == ["a", "b"]
    assert all_kept[0] is all_kept[2]
    assert all_kept[0].routes.matching(["a", "7"])["GET"].path == "/a/:id"
    assert all_kept[1].routes.matching(["a", "7"]) == {}


def test_the_answer_is_written_once(read: list[str]) -> None:
    kept = RouteCache().of(CONNECTION, "a")

    assert kept.answer is kept.answer
    assert json.loads(kept.answer) == {
        "endpoints": [{"id": "1", "method": "GET", "path": "/a/:id", "handler": "é", "schedulable": False}]
    }


def test_beyond_its_bytes_the_one_unused_for_longest_goes(read: list[str]) -> None:
    weight = RouteCache().of(CONNECTION, "a").weight
    cache = RouteCache(max_bytes=2 * weight)
    read.clear()

    for version in ("a", "b", "a", "c", "a", "b"):
        cache.of(CONNECTION, version)

    assert read == ["a", "b", "c", "b"]


def test_one_that_is_too_large_is_answered_and_not_kept(read: list[str]) -> None:
    cache = RouteCache(max_bytes=1)

    assert cache.of(CONNECTION, "a").routes.matching(["a", "7"])
    assert cache.of(CONNECTION, "a").routes.matching(["a", "7"])
    assert read == ["a", "a"]
