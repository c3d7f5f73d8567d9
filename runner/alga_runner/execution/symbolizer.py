"""Files and lines for the stacks of guests that ended badly, read from their bundle after the first such end."""

from __future__ import annotations

import logging
from collections.abc import Generator

import anyio
from anyio.abc import TaskGroup

from alga_runner.execution.single_flight import SingleFlight

from ..bundles import BundleSource
from ..debuginfo import LineTable, read_lines
from ..engine import this_thread
from ..errors import AlgaError
from ..frames import Frame

MAX_TABLES = 32
"""Tables kept, of at most 2.4 MB each; the one unused for longest goes first."""

PATIENCE_S = 1.0
"""How long an error waits for its lines, in seconds. Reading then goes on, for the next one."""

logger = logging.getLogger("alga_runner")


class Symbolizer:
    """Finds files and lines. A table is read once for all who wait, on the event loop, in the turns that guests share.

    Not in a thread: pure Python beside the loop takes the GIL from it for milliseconds (engine-lab B, "GIL convoy").
    """

    def __init__(self, bundles: BundleSource, tasks: TaskGroup) -> None:
        """``tasks`` outlives every execution."""
        self._bundles = bundles
        self._tables: SingleFlight[LineTable] = SingleFlight(tasks, MAX_TABLES)

    async def located(
        self, tenant_id: str, extension_id: str, content_hash: str, frames: tuple[Frame, ...]
    ) -> tuple[Frame, ...]:
        """``frames`` with files and lines; as they are where those cannot be had soon. Raises nothing."""
        key = (tenant_id, extension_id, content_hash)

        async def load() -> LineTable:
            bundle = await self._bundles.fetch(tenant_id, extension_id, content_hash)
            return await _in_turns(read_lines(bundle.wasm, bundle.source_map))

        try:
            table = self._tables.loaded(key)
            if table is None:
                with anyio.move_on_after(PATIENCE_S):
                    table = await self._tables.get(key, load)
            if table is not None:
                return tuple(map(table.locate, frames))
        except AlgaError:  # the bundle has gone from the store, or the runner ends
            pass
        except Exception as fault:  # noqa: BLE001 - a stack without lines is better than none
            logger.error(  # noqa: TRY400 - a traceback may quote the extension
                "Debug information could not be read: %s",
                type(fault).__name__,
                extra={"action": "debug_info_failure", "extension_id": extension_id},
            )
        return frames


async def _in_turns(steps: Generator[None, None, LineTable]) -> LineTable:
    """What ``steps`` returns, each of them in a turn of the event loop that has time for a guest."""
    while True:
        await this_thread.loop_scheduler.wait_to_start()
        try:
            next(steps)
        except StopIteration as end:
            table: LineTable = end.value
            return table
