"""The pytest plugin: one fixture, ``alga``. Nothing is imported or started before a test asks for it."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from .harness import Alga, Bench


@pytest.fixture(scope="session")
def _alga_bench() -> Iterator[Bench]:
    from .harness import Bench  # noqa: PLC0415 - pytest imports this module on every run

    with Bench() as bench:
        yield bench


@pytest.fixture
def alga(_alga_bench: Bench, request: pytest.FixtureRequest) -> Iterator[Alga]:
    """An Alga server and a runner in this process, real and empty: install an extension, call it, look at what it did.

    See docs/testing.md.
    """
    failed_before = request.session.testsfailed
    with _alga_bench.alga(request.config.rootpath) as alga:
        yield alga
        unmet = alga.server.unmet()
    if unmet and request.session.testsfailed == failed_before:
        pytest.fail("; ".join(unmet) + ": give optional=True if it need not be met.", pytrace=False)
