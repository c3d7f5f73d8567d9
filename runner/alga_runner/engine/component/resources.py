"""Resources of the host: a number, ``rep``, that a guest holds behind a handle and the host keeps something under."""

from __future__ import annotations

import ctypes
from collections.abc import Callable
from typing import Any

from ..running import running
from . import _capi
from .failure import take_failure
from .lower import Arena, ResourceOut


class ResourceTypes:
    """The resource types that one component imports, each with a number of its own."""

    def __init__(self) -> None:
        self._native: list[Any] = []
        self._by_name: dict[str, int] = {}

    def number(self, name: str, native: Any) -> int:
        """The number of the type ``native``, imported as ``name``: ``use`` gives one type several names."""
        if native not in self._native:
            self._native.append(native)
        number = self._native.index(native) + 1
        self._by_name.setdefault(name, number)
        return number

    def giver(self, name: str) -> ResourceOut:
        """A function that makes handles for resources of the type that is imported as ``name``."""
        by_name = self._by_name

        def give(value: int, arena: Arena, *, owned: bool) -> int:
            # Every function that gives one is answered inside its call, so that the guest is the running one.
            host = _capi.resource_host_new(owned, value, by_name[name])
            handle = ctypes.c_size_t()
            error = _capi.resource_host_to_any(running.guest.context, host, ctypes.addressof(handle))
            _capi.resource_host_delete(host)
            if error:
                raise take_failure(error)
            arena.handles.append(handle.value)
            return handle.value

        return give


def resource_in(handle: int) -> int:
    """The number behind a handle that the running guest gave."""
    host = ctypes.c_size_t()
    error = _capi.resource_any_to_host(running.guest.context, handle, ctypes.addressof(host))
    if error:
        raise take_failure(error)
    rep: int = _capi.resource_host_rep(host.value)
    _capi.resource_host_delete(host.value)
    return rep


def free_handles(arena: Arena) -> None:
    """Free the handles of a tree that was copied."""
    if arena.handles:
        for handle in arena.handles:
            _capi.resource_any_delete(handle)
        arena.handles.clear()


def destructor(dropped: Callable[[Any, int], None]) -> Any:
    """A callback that reports to ``dropped`` the guest and the number of a resource that the guest dropped.

    Resources that are left when the store is freed are not reported.
    """

    def on_drop(_env: int | None, _context: int | None, rep: int) -> int:
        guest = running.guest
        if guest is not None:
            try:
                dropped(guest, rep)
            except BaseException as error:  # noqa: BLE001 - an exception that leaves a callback aborts the process
                guest.failure = error
        return 0

    return _capi.DESTRUCTOR(on_drop)
