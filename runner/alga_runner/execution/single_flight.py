"""Load something once, for everyone who asks meanwhile and after."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Awaitable, Callable, Hashable
from copy import copy
from typing import Generic, TypeVar

import anyio
from anyio.abc import TaskGroup

from alga_runner.errors import AlgaError, EngineUnavailable

T = TypeVar("T")


class _Load(Generic[T]):
    """One value on its way, or arrived."""

    def __init__(self) -> None:
        self.arrived = anyio.Event()
        self.value: T | None = None
        self.failure: Exception | None = None

    def result(self) -> T:
        if isinstance(self.failure, AlgaError):
            raise self.failure.fresh()
        if self.failure is not None:
            # Not the same object for all who wait: each that raises it leaves its frames in the traceback.
            raise copy(self.failure).with_traceback(None)
        if self.value is None:
            raise EngineUnavailable("The runner stopped while the extension was being loaded.")
        return self.value


class SingleFlight(Generic[T]):
    """Remembers what was loaded by key; while a load is under way, everyone who asks waits for that one.

    The load runs in a task of its own, so that an execution that gives up does not take it from the others.
    """

    def __init__(self, tasks: TaskGroup, most: int) -> None:
        """``tasks`` outlives who asks. Of more than ``most`` values the one unused for longest goes first."""
        self._tasks = tasks
        self._most = most
        self._loads: OrderedDict[Hashable, _Load[T]] = OrderedDict()

    def loaded(self, key: Hashable) -> T | None:
        """What ``get`` would give without waiting."""
        found = self._loads.get(key)
        if found is None or found.value is None:
            return None
        self._loads.move_to_end(key)
        return found.value

    async def get(self, key: Hashable, load: Callable[[], Awaitable[T]]) -> T:
        """What was loaded under ``key``, by ``load`` if nothing was. Raises what ``load`` raises; it is not kept."""
        under_way = self._loads.get(key)
        if under_way is None:
            under_way = self._loads[key] = _Load()
            self._tasks.start_soon(self._carry_out, key, under_way, load)
            if len(self._loads) > self._most:
                self._loads.popitem(last=False)
        else:
            self._loads.move_to_end(key)
        if not under_way.arrived.is_set():
            await under_way.arrived.wait()
        return under_way.result()

    async def _carry_out(self, key: Hashable, under_way: _Load[T], load: Callable[[], Awaitable[T]]) -> None:
        try:
            under_way.value = await load()
        except Exception as error:  # noqa: BLE001 - handed to those who wait
            under_way.failure = error
            if self._loads.get(key) is under_way:
                del self._loads[key]
        finally:
            under_way.arrived.set()
