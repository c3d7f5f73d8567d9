"""Loads the native helper, if it was built and fits, and passes it wasmtime's functions."""

from __future__ import annotations

import ctypes
import os
import subprocess
from ctypes import c_bool, c_char_p, c_int32, c_int64, c_size_t, c_uint32, c_void_p
from functools import cache
from importlib.util import find_spec
from pathlib import Path
from typing import Any, Final, Literal, TypeAlias

from ...errors import EngineUnavailable
from .. import _capi
from . import build

Mode: TypeAlias = Literal["auto", "off", "required"]
"""Whether guests run through the helper: where it is there and fits; never; or always, or no engine is made."""

NOTHING: Final = 3
NO_EXPORT: Final = 4
CALLED: Final = 5
"""How ``alga_guest_run`` ends besides ``guest.BLOCKED``, ``FINISHED`` and ``FAILED``. ``CALLED``, and the function's
position on top of it: the guest waits for the answer to a host call."""

EXCHANGED: Final = 1 << 20
"""Is added to that if the guest was given its document since the owner looked (``Guest.exchanged``)."""

MOST_ARGUMENTS: Final = 12
"""Arguments of a host function that suspends its guest, at most."""

VARIABLE = "ALGA_RUNNER_NATIVE_ENGINE"
"""The variable of the setting ``native_engine``."""

_FUNCTIONS = (
    "store_new",
    "store_context",
    "store_limiter",
    "set_epoch_deadline",
    "epoch_yield_and_update",
    "instantiate_async",
    "instance_export_get",
    "memory_data",
    "call_async",
    "future_poll",
    "future_delete",
    "trap_delete",
    "error_delete",
    "store_delete",
    "caller_context",
    "caller_export_get",
    "context_get_data",
    "memory_data_size",
)
"""Names in ``_capi`` of the functions that the helper calls, in the order of ``alga_engine.c``."""


_MOST = 500
"""Characters of the compiler's own words."""


class Library:
    """The helper's functions. Those ``without_gil`` release it, for the CPU thread."""

    def __init__(self, path: Path) -> None:
        """Raises ``OSError``, ``AttributeError`` or ``ValueError`` for a library that does not fit."""
        self.path = path
        self._with_gil = library = ctypes.PyDLL(str(path))
        library.alga_source.restype = c_char_p
        if library.alga_source() != build.digest().encode():
            raise ValueError("it was built from another version of its source")
        library.alga_use.restype = c_bool
        library.alga_use.argtypes = (c_void_p, c_size_t)
        without_gil = ctypes.CDLL(str(path))
        self.run = _declared(library.alga_guest_run, c_int32, c_void_p)
        self.run_without_gil = _declared(without_gil.alga_guest_run, c_int32, c_void_p)
        self.end = _declared(library.alga_guest_end, None, c_void_p)
        self.end_without_gil = _declared(without_gil.alga_guest_end, None, c_void_p)
        self.let_exchange = _declared(
            library.alga_guest_exchange, None, c_void_p, c_char_p, c_uint32, c_uint32
        )
        self.suspend = _capi.address(library.alga_suspend)
        """The address of what wasmtime calls for a host function that suspends its guest."""
        self.exchange = {
            "in": _capi.address(library.alga_give),
            "out": _capi.address(library.alga_take),
        }
        """The same for one that exchanges messages (``HostFunction.exchange``)."""
        self.ticker_start = _declared(without_gil.alga_ticker_start, c_void_p, c_void_p, c_int64, c_void_p)
        self.ticker_set = _declared(library.alga_ticker_set, None, c_void_p, c_bool)
        self.ticker_end = _declared(without_gil.alga_ticker_end, None, c_void_p)
        self.connect()

    def connect(self) -> None:
        """Pass it wasmtime's functions, as ``_capi`` has them."""
        addresses = [_capi.address(getattr(_capi, name)) for name in _FUNCTIONS]
        addresses += [_capi.increment_epoch, _capi.ready_when_nonzero]
        table = (c_void_p * len(addresses))(*addresses)
        if not self._with_gil.alga_use(ctypes.addressof(table), len(addresses)):
            raise ValueError(f"it does not take {len(addresses)} functions of wasmtime")


def _declared(function: Any, result: Any, *arguments: Any) -> Any:
    function.argtypes, function.restype = arguments, result
    return function


def default_mode() -> Mode:
    """The environment's, for an engine that is made without settings."""
    given = os.environ.get(VARIABLE)
    return "off" if given == "off" else "required" if given == "required" else "auto"


def choose(mode: Mode) -> Library | None:
    """The helper, if ``mode`` wants it and it can be used.

    Raises ``EngineUnavailable`` if it is required and cannot.
    """
    if mode == "off":
        return None
    try:
        return load()
    except EngineUnavailable:
        if mode == "required":
            raise
        return None


def build_native() -> Path:
    """Build the helper with the ziglang of this Python, and load it. Raises ``EngineUnavailable``."""
    if find_spec("ziglang") is None:
        raise EngineUnavailable(
            "The package ziglang, whose C compiler builds the helper, is not installed.",
            hint="Install it: pip install 'alga-runner[native]'.",
        )
    try:
        build.build()
    except subprocess.CalledProcessError as error:
        raise EngineUnavailable(
            f"The native helper cannot be compiled: {error.stderr.strip()[:_MOST]}"
        ) from None
    except OSError as error:
        raise EngineUnavailable(
            f"The native helper cannot be written: {error}.",
            hint="Build it as the user that installed the package.",
        ) from None
    load.cache_clear()
    return load().path


def native_built() -> bool:
    """Whether the helper was built, by this version or another."""
    return build.LIBRARY.exists()


def native_fault() -> EngineUnavailable | None:
    """Why the helper that was built cannot be used; ``None`` if it can, or if none was built."""
    try:
        load()
    except EngineUnavailable as error:
        return error if native_built() else None
    return None


@cache
def load() -> Library:
    """The helper. Raises ``EngineUnavailable``, with the reason why it cannot be used."""
    if not build.LIBRARY.exists():
        raise EngineUnavailable(
            "The engine's native helper was not built.",
            hint=f"Build it with `alga-runner native`, or do without it: unset {VARIABLE}.",
        )
    try:
        return Library(build.LIBRARY)
    except (OSError, AttributeError, ValueError) as error:
        raise EngineUnavailable(
            f"The engine's native helper {build.LIBRARY} cannot be used: {error}.",
            hint=f"Build it again with `alga-runner native`, or set {VARIABLE}=off.",
        ) from None
