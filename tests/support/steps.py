"""What another thread does between two steps of a function, done there by the same thread: each place in turn."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from types import CodeType, FrameType
from typing import Any


@contextmanager
def at_step(functions: set[CodeType], step: int, do: Callable[[], object]) -> Iterator[list[object]]:
    """``do`` before the bytecode that is number ``step`` of those that ``functions`` run in the block.

    Gives a list that has the result then, and nothing if there were fewer.
    """
    steps, results = 0, []

    def on_event(frame: FrameType, event: str, _argument: Any) -> Any:
        nonlocal steps
        frame.f_trace_opcodes = True
        if event == "opcode":
            steps += 1
            if steps == step:
                results.append(do())
        return on_event

    def on_call(frame: FrameType, event: str, argument: Any) -> Any:
        return on_event(frame, event, argument) if frame.f_code in functions else None

    traced = sys.gettrace()
    sys._getframe().f_trace_opcodes = True  # 3.12 looks for this once, when tracing begins
    sys.settrace(on_call)
    try:
        yield results
    finally:
        sys.settrace(traced)
