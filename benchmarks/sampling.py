"""Where time goes, by samples: a timer interrupts, and what the main thread was doing counts.

Unlike a tracing profiler it does not make small functions look dear. A sample belongs to the innermost function of the
runner on the stack, so what pydantic, ctypes or prometheus_client take counts for the function that called them.
"""

from __future__ import annotations

import signal
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from types import FrameType

import alga_runner

PERIOD_S = 0.00073
"""Between samples; no multiple of anything that happens every millisecond."""

SAMPLE = "sample "
"""How counts that are samples begin, where they travel with other counts."""

_SERVER = (
    "/uvicorn/",
    "/h11/",
    *(f"/alga_common/http/{part}" for part in ("connection", "asgi", "request_body", "request_head")),
)
_LOOPS = ("/asyncio/base_events.py", "/asyncio/runners.py")
"""Where Python runs the event loop, or calls that of uvloop, which has no frames: its waiting counts as its work."""
_HOUSE = str(Path(alga_runner.__file__).parent) + "/"
_HERE = str(Path(__file__).parent) + "/"

_CALLBACK = "engine/linker.py _callback.<locals>.on_call"

GUEST = "the guest"
"""Its code, its instance, and everything else of wasmtime's that runs until the guest asks or is done."""
SERVER = "the HTTP server"
ELSEWHERE = "the event loop"
"""asyncio's turns and anyio's callbacks: what no function of ours had called."""
MEASURING = "the benchmark itself"
IDLE = "waiting"


@contextmanager
def sampled() -> Iterator[Counter[str]]:
    """Count samples by ``file function`` while entered. For the main thread alone."""
    samples: Counter[str] = Counter()

    def note(_number: int, frame: FrameType | None) -> None:
        samples[_owner(frame)] += 1

    before = signal.signal(signal.SIGALRM, note)
    signal.setitimer(signal.ITIMER_REAL, PERIOD_S, PERIOD_S)
    try:
        yield samples
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, before)


def _owner(frame: FrameType | None) -> str:
    if frame is not None and frame.f_code.co_filename.endswith("/selectors.py"):
        return IDLE
    while frame is not None:
        code = frame.f_code
        if code.co_filename.endswith(_LOOPS):
            return ELSEWHERE
        if code.co_filename.startswith(_HOUSE):
            owner = f"{code.co_filename[len(_HOUSE) :]} {code.co_qualname}"
            # Signals wait for Python: those that arrive in a guest are met as its call to the host begins.
            return GUEST if owner == _CALLBACK and frame.f_lineno == code.co_firstlineno else owner
        if code.co_filename.startswith(_HERE):
            return MEASURING
        if any(part in code.co_filename for part in _SERVER):
            return SERVER
        frame = frame.f_back
    return ELSEWHERE
