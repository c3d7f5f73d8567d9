"""The event loop of programs that serve: uvloop where it is installed (the extra ``fast``), else asyncio's own.

uvloop does in C what asyncio does in Python around every request. Nothing else differs for the code that runs on it.
"""

from __future__ import annotations

from functools import cache
from importlib.util import find_spec

import anyio


def loop_options() -> dict[str, bool]:
    """The options with which ``anyio.run`` takes the fastest loop that is installed."""
    return {"use_uvloop": find_spec("uvloop") is not None}


@cache
def scope_class() -> type[anyio.CancelScope]:
    """anyio's scopes on asyncio, for which ``anyio.CancelScope`` looks each time, which costs nearly as much as one."""
    return type(anyio.CancelScope())
