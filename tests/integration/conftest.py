"""A whole Alga in this process, the scheduler demo installed, and its ``POST /try``."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from alga_runner.testing import Alga, Extension

Install = Callable[..., Extension]
Attempt = Callable[..., dict[str, Any]]

DEMO = Path(__file__).parents[2] / "sample-extensions" / "scheduler-demo"
SCHEDULER = "cap:scheduler.manage"


@pytest.fixture
def install(alga: Alga) -> Install:
    """Install the demo for a tenant, with the scheduler granted unless ``grant`` says otherwise."""

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
