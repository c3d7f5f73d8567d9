"""Loads a value once for all tasks that need it, concurrently or later."""

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
    """A value that is being loaded, or was."""

    def __init__(self) -> None:
        self.arrived = anyio.Event()
        self.value: T | None = None
        self.failure: Exception | None = None

    def result(self) -> T:
        if isinstance(self.failure, AlgaError):
            raise self.failure.fresh()
        if self.failure is not None:
            # A copy for each waiting task, since raising adds frames to the traceback.
            raise copy(self.failure).with_traceback(None)
        if self.value is None:
            raise EngineUnavailable("The runner stopped while the extension was being loaded.")
        return self.value


class SingleFlight(Generic[T]):
    """Keeps loaded values by key. Tasks that ask for a key while it is being loaded wait for that load.

    The load runs in a task of its own, so that it goes on if an execution that asked for it is cancelled.
    """

    def __init__(self, tasks: TaskGroup, most: int) -> None:
        """``tasks`` outlives all callers. Beyond ``most`` values, the one unused for longest is dropped."""
        self._tasks = tasks
        self._most = most
        self._loads: OrderedDict[Hashable, _Load[T]] = OrderedDict()

    def loaded(self, key: Hashable) -> T | None:
        """The value of ``key`` if it is loaded, else ``None``."""
        load = self._loads.get(key)
        if load is None or load.value is None:
            return None
        self._loads.move_to_end(key)
        return load.value

    async def get(self, key: Hashable, load: Callable[[], Awaitable[T]]) -> T:
        """The value of ``key``, loaded by ``load`` if it is missing. Raises what ``load`` raises, which is not kept."""
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

    def forget(self, key: Hashable) -> None:
        """Keep the value of ``key`` no longer, if it was loaded."""
        load = self._loads.get(key)
        if load is not None and load.arrived.is_set():
            del self._loads[key]

    async def _carry_out(self, key: Hashable, under_way: _Load[T], load: Callable[[], Awaitable[T]]) -> None:
        try:
            under_way.value = await load()
        except Exception as error:  # noqa: BLE001 - handed to those who wait
            under_way.failure = error
            if self._loads.get(key) is under_way:
                del self._loads[key]
        finally:
            under_way.arrived.set()
