"""Loaders of modules over one folder of compiled code."""

from __future__ import annotations

import logging
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path

import pytest

from alga_runner.engine import CompileBounds, Engine, ModuleLoader
from alga_runner.telemetry import Telemetry
from tests.support.module_loader import (
    MIB,
    Loading,
    Open,
)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return tmp_path / "code"


@pytest.fixture
def opened(engine: Engine, folder: Path) -> Open:
    """A loader like one of another process: it shares with others the folder alone."""

    @asynccontextmanager
    async def open_(
        *,
        engine: Engine = engine,
        folder: Path | None = folder,
        max_cache_bytes: int = 10 * MIB,
        bounds: CompileBounds | None = None,
        clock: Callable[[], float] = lambda: 0.0,
    ) -> AsyncIterator[Loading]:
        logger = logging.Logger("loader-test")
        handler = logging.Handler()
        lines: list[logging.LogRecord] = []
        handler.emit = lines.append  # type: ignore[method-assign]
        logger.addHandler(handler)
        telemetry = Telemetry(logger)
        loader = ModuleLoader(
            engine,
            telemetry,
            bounds or CompileBounds(),
            folder=folder,
            max_cache_bytes=max_cache_bytes,
            clock=clock,
        )
        try:
            yield Loading(loader, telemetry, lines)
        finally:
            loader.close()
            telemetry.close()

    return open_
