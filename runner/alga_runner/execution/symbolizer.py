"""Files and lines for the stacks of guests that failed, read from their bundle after its first failure."""

from __future__ import annotations

import logging

import anyio
from anyio.abc import TaskGroup

from ..bundles import BundleSource
from ..debuginfo import LineTable
from ..engine import ModuleLoader
from ..errors import AlgaError, CompilationError
from ..frames import Frame
from .single_flight import SingleFlight

MAX_TABLES = 32
"""Tables kept, of at most 3.3 MB each; the one unused for longest goes first."""

PATIENCE_S = 1.0
"""How long an error waits for its lines, in seconds. Reading then goes on, for the next one."""

logger = logging.getLogger("alga_runner")


class Symbolizer:
    """Finds files and lines. A bundle's table is read once, in a confined job, for every failure that waits.

    Most bundles never fail, so a table is read at the first failure rather than with each compilation.
    """

    def __init__(self, bundles: BundleSource, modules: ModuleLoader, tasks: TaskGroup) -> None:
        """``tasks`` outlives every execution."""
        self._bundles = bundles
        self._modules = modules
        self._tables: SingleFlight[LineTable] = SingleFlight(tasks, MAX_TABLES)

    async def located(
        self, tenant_id: str, extension_id: str, content_hash: str, frames: tuple[Frame, ...]
    ) -> tuple[Frame, ...]:
        """``frames`` with files and lines; unchanged where those cannot be read soon. Raises nothing."""
        key = (tenant_id, extension_id, content_hash)

        async def load() -> LineTable:
            bundle = await self._bundles.fetch(tenant_id, extension_id, content_hash)
            wasm, source_map = bundle.wasm, bundle.source_map
            del bundle  # its pages need not wait for the lines to be read
            try:
                return await self._modules.read_lines(wasm, source_map, tenant_id)
            except (CompilationError, ValueError) as error:
                # The empty table is kept: hostile debug information costs its time once.
                _log_failure(error, tenant_id, extension_id)
                return LineTable()

        try:
            table = self._tables.loaded(key)
            if table is None:
                with anyio.move_on_after(PATIENCE_S):
                    table = await self._tables.get(key, load)
            if table is not None:
                return tuple(map(table.locate, frames))
        except AlgaError:  # the bundle was removed, no process can be started, or the runner ends
            pass
        except Exception as error:  # noqa: BLE001 - a stack without lines is better than none
            _log_failure(error, tenant_id, extension_id)
        return frames


def _log_failure(error: Exception, tenant_id: str, extension_id: str) -> None:
    """Log the kind of ``error`` alone: its message may quote the extension."""
    logger.error(
        "Debug information not read: %s",
        error.code if isinstance(error, AlgaError) else type(error).__name__,
        extra={"action": "debug_info_failure", "tenant_id": tenant_id, "extension_id": extension_id},
    )
