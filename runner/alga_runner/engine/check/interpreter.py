"""Which Pythons guests can run in."""

from __future__ import annotations

import sys

from ...errors import EngineUnavailable

OLDEST, NEWEST = (3, 11), (3, 13)
_HINT = "Run on CPython 3.11, 3.12 or 3.13."


def require_interpreter(
    version: tuple[int, ...] = sys.version_info[:3],
    *,
    name: str = sys.implementation.name,
    free_threaded: bool = not getattr(sys, "_is_gil_enabled", lambda: True)(),
) -> None:
    """Raise ``EngineUnavailable`` where the engine is not known to work.

    Host callbacks run on a guest's own stack. Python 3.14.0 compares the stack pointer with its thread's limits and
    ends the process there; later versions are untested (docs/design/engine.md, Hazards, 6).
    """
    shown = ".".join(map(str, version))
    if name != "cpython":
        raise EngineUnavailable(f"The engine needs CPython; this is {name}.", hint=_HINT)
    if version[:2] > NEWEST:
        raise EngineUnavailable(
            f"The engine does not run on Python {shown}: 3.14.0 takes a guest's own stack for an overflow and ends the"
            " process, and later versions have not been tried.",
            hint=_HINT,
        )
    if version[:2] < OLDEST:
        raise EngineUnavailable(f"The engine does not run on Python {shown}: it is too old.", hint=_HINT)
    if free_threaded:
        raise EngineUnavailable(
            "The engine does not run on a Python without the GIL, which orders what threads do with guests.",
            hint=_HINT,
        )
