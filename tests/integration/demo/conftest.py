"""A whole Alga in this process, the scheduler demo installed, and its ``POST /try``."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from alga_runner.testing import Alga, Extension
from alga_runner.testing.harness import Bench

Install = Callable[..., Extension]
Attempt = Callable[..., dict[str, Any]]

DEMO = Path(__file__).parents[3] / "sample-extensions" / "scheduler-demo"
SCHEDULER = "cap:scheduler.manage"


if os.environ.get("ALGA_TEST_POSTGRES"):

    @pytest.fixture
    def alga(_alga_bench: Bench, request: pytest.FixtureRequest, database_url: str) -> Iterator[Alga]:
        """The plugin's, on the database that there is."""
        with _alga_bench.alga(request.config.rootpath, database_url=database_url) as alga:
            yield alga


@pytest.fixture
def install(alga: Alga) -> Install:
    """Install the demo for a tenant, with the scheduler granted by default."""

    def carry_out(tenant: str = "acme", grant: tuple[str, ...] = (SCHEDULER,), **config: str) -> Extension:
        return alga.install(DEMO, tenant=tenant, grant=grant, config=config)

    return carry_out


@pytest.fixture
def demo(install: Install) -> Extension:
    return install()


@pytest.fixture
def attempt() -> Attempt:
    """One host call, made by the guest: ``{"ok": value}`` or ``{"error": {...}}`` as the guest saw it."""

    def carry_out(extension: Extension, operation: str, **members: Any) -> dict[str, Any]:
        response = extension.call("POST", "/try", json={"operation": operation, **members})
        assert response.status == 200, response.text
        seen: dict[str, Any] = response.json()
        return seen

    return carry_out
