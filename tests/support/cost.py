"""What it costs to read something, counted: steps of Python and bytes of memory, never time.

A step is a line, a call, or 64 bytes of a text that a method of it reads or copies.
"""

from __future__ import annotations

import sys
import tracemalloc
from collections.abc import Callable, Iterable
from contextlib import suppress
from dataclasses import dataclass
from types import BuiltinMethodType, FrameType
from typing import Any, TypeVar

from hypothesis import strategies as st

from .garbage import no_collection

DOUBLE = 2.3
"""Twice the size costs this many times as much at most, if the cost is linear and no more."""

_BYTES_A_STEP = 64
_FIXED_STEPS = 200
"""What reading may cost however little there is to read."""
_FIXED_BYTES = 256 * 1024
_IN_PLACE = frozenset(
    {"append", "clear", "count", "extend", "find", "get", "index", "pop", "startswith", "endswith"}
)
"""Methods that read no more of a text or list than they are asked to, or than they give."""

T = TypeVar("T")


@dataclass(frozen=True)
class Cost:
    """Of one reading."""

    steps: int
    peak_bytes: int


def cost_of(read: Callable[[T], object], what: T) -> Cost:
    """Read ``what``, which may be refused with an exception, and return the cost."""
    return Cost(_steps(read, what), _peak(read, what))


def assert_linear(read: Callable[[T], object], made: Callable[[int], T], sizes: Iterable[int]) -> None:
    """Assert that reading a thing ``made`` of each size costs in proportion to one of half the size."""
    for size in sizes:
        half, whole = cost_of(read, made(size // 2)), cost_of(read, made(size))
        assert whole.steps <= DOUBLE * half.steps + _FIXED_STEPS, (size, half, whole)
        assert whole.peak_bytes <= DOUBLE * half.peak_bytes + _FIXED_BYTES, (size, half, whole)


def assert_bounded(read: Callable[[T], object], what: T, *, steps: int, peak_bytes: int) -> None:
    """Assert that reading ``what`` costs no more than that."""
    cost = cost_of(read, what)
    assert cost.steps <= steps, cost
    assert cost.peak_bytes <= peak_bytes, cost


def _read(read: Callable[[T], object], what: T) -> None:
    with suppress(Exception):  # a refusal costs as well
        read(what)


def _steps(read: Callable[[T], object], what: T) -> int:
    steps = 0

    def on_line(_frame: FrameType, event: str, _argument: Any) -> Any:
        nonlocal steps
        steps += event == "line"
        return on_line

    def on_call(_frame: FrameType, event: str, argument: Any) -> None:
        nonlocal steps
        if event == "call":
            steps += 1
        elif event == "c_call":
            steps += 1
            if isinstance(argument, BuiltinMethodType) and argument.__name__ not in _IN_PLACE:
                steps += _length(argument.__self__) // _BYTES_A_STEP

    traced, profiled = sys.gettrace(), sys.getprofile()
    sys.setprofile(on_call)
    sys.settrace(on_line)
    try:
        with no_collection():
            _read(read, what)
    finally:
        sys.settrace(traced)
        sys.setprofile(profiled)
    return steps


def _length(owner: object) -> int:
    return len(owner) if isinstance(owner, str | bytes | bytearray | list) else 0


def _peak(read: Callable[[T], object], what: T) -> int:
    tracemalloc.start()
    try:
        before = tracemalloc.get_traced_memory()[0]
        _read(read, what)
        return tracemalloc.get_traced_memory()[1] - before
    finally:
        tracemalloc.stop()


AnyText = TypeVar("AnyText", str, bytes)


def shapes(*parts: AnyText) -> st.SearchStrategy[Callable[[int], AnyText]]:
    """Texts of any size: some of ``parts``, then others again and again, then others."""
    few = st.lists(st.sampled_from(parts), max_size=2)

    def shape(start: list[AnyText], again: list[AnyText], end: list[AnyText]) -> Callable[[int], AnyText]:
        empty = parts[0][:0]
        body = empty.join(again)
        return lambda size: empty.join(start) + body * (size // len(body)) + empty.join(end)

    return st.builds(shape, few, st.lists(st.sampled_from(parts), min_size=1, max_size=4), few)
