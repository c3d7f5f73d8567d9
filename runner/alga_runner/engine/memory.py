"""A guest's linear memory, touched only through checked ranges; and the limits that wasmtime enforces on a guest."""

from __future__ import annotations

import ctypes
from collections.abc import Callable
from dataclasses import dataclass
from functools import lru_cache

from ..errors import OutOfBounds
from . import _capi


@dataclass(frozen=True, slots=True)
class GuestLimits:
    """``memory_bytes`` is all its linear memory, ``table_elements`` what its table may hold."""

    memory_bytes: int
    table_elements: int


_view_of: Callable[[int, int, int], memoryview] = ctypes.PYFUNCTYPE(
    ctypes.py_object, ctypes.c_void_p, ctypes.c_ssize_t, ctypes.c_int
)(("PyMemoryView_FromMemory", ctypes.pythonapi))
_WRITABLE = 0x200


@lru_cache(maxsize=1024)
def _view(address: int, size: int) -> memoryview:
    """A view of this part of the host's memory. Guests come and go, but their slots stay where they are."""
    return _view_of(address, size, _WRITABLE) if size else memoryview(bytearray())


class LinearMemory:
    """The one memory of a guest. Offsets and lengths are unsigned and in bytes.

    The base never moves (the engine reserves the whole range) and memory never shrinks, so the size known is a lower
    bound: only a range beyond it asks again.
    """

    __slots__ = ("_base", "_context", "_handle", "_view", "known_size")

    def __init__(self, context: int, handle: int, size: int, base: int | None = None) -> None:
        """``handle`` is the address of a ``wasmtime_memory_t`` that outlives this object, ``size`` a lower bound."""
        self.open(context, handle, size, base)

    def open(self, context: int, handle: int, size: int, base: int | None = None) -> None:
        """As ``__init__``, for an object made by ``__new__``: to call the class takes 500 bytes more of the stack."""
        self._context = context
        self._handle = handle
        self._base: int = base or _capi.memory_data(context, handle) or 0
        self.known_size = size
        self._view = _view(self._base, size)

    @property
    def size(self) -> int:
        """How large the memory is now, in bytes."""
        size: int = _capi.memory_data_size(self._context, self._handle)
        if size != self.known_size:
            self.known_size = size
            self._view = _view(self._base, size)
        return size

    def check(self, offset: int, length: int) -> None:
        """Raise ``OutOfBounds`` unless ``[offset, offset + length)`` is inside memory.

        An empty range may start at most at memory's end (guest ABI, "Imports").
        """
        if offset + length > self.known_size and offset + length > self.size:
            raise OutOfBounds(
                f"The guest gave offset {offset} and length {length}; its memory has {self.known_size} bytes."
            )

    def read(self, offset: int, length: int) -> bytes:
        """A copy of ``length`` bytes at ``offset``. Raises ``OutOfBounds``."""
        if offset + length > self.known_size:
            self.check(offset, length)
        return self._view[offset : offset + length].tobytes()

    def write(self, offset: int, data: bytes) -> None:
        """Copy ``data`` to ``offset``. Raises ``OutOfBounds``, and then nothing was written."""
        length = len(data)
        if offset + length > self.known_size:
            self.check(offset, length)
        self._view[offset : offset + length] = data
