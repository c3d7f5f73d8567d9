"""The parent's side of ``child``: start contestants, give them orders, and always end them."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from select import select
from types import TracebackType
from typing import IO, Any, Self

from .pinning import pinned

ROOT = Path(__file__).resolve().parent.parent
PATIENCE_S = 300.0
"""How long one order may take; a child that takes longer hangs."""


class NotMeasured(Exception):
    """A part has no result; the text has the reason."""


class ChildFailed(NotMeasured):
    """A child process ended, or hangs; the text has the end of what it said."""


@dataclass(frozen=True, slots=True)
class Batch:
    """What one order took, in seconds: on the clock, and of CPU in all threads of the process."""

    wall_s: float
    cpu_s: float
    counts: Mapping[str, float]

    @property
    def done(self) -> int:
        """How often the work was done."""
        return int(self.counts["done"])


class Child:
    """A contestant's process, pinned to ``core``. Use it as a context manager."""

    def __init__(self, contestant: str, core: int | None) -> None:
        self.name = contestant
        self._core = core

    def __enter__(self) -> Self:
        self._errors = tempfile.TemporaryFile()
        with interrupts_later() as interrupted:
            self._process = start(["benchmarks.child", self.name], self._core, self._errors)
        try:
            interrupted()
            self._read()
        except BaseException:
            self._end(at_once=True)
            raise
        return self

    def __exit__(
        self,
        exc_type: type[BaseException] | None,
        exc: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self._end(at_once=exc_type is not None)

    def _end(self, *, at_once: bool) -> None:
        end(self._process, at_once=at_once)
        self._errors.close()

    def order(self, **order: Any) -> None:
        """Give an order; ``answer`` waits for it. Raises ``ChildFailed``."""
        assert self._process.stdin is not None  # noqa: S101 - it is a pipe
        try:
            self._process.stdin.write(json.dumps(order) + "\n")
            self._process.stdin.flush()
        except BrokenPipeError:
            raise self._failed("ended") from None

    def answer(self) -> Batch:
        """The answer to the oldest order that waits for one. Raises ``ChildFailed``."""
        return Batch(**self._read())

    def ask(self, **order: Any) -> Batch:
        """Give an order and wait until it is carried out. Raises ``ChildFailed``."""
        self.order(**order)
        return self.answer()

    def _read(self) -> dict[str, Any]:
        assert self._process.stdout is not None  # noqa: S101 - it is a pipe
        if not select([self._process.stdout], [], [], PATIENCE_S)[0]:
            raise self._failed(f"did not answer within {PATIENCE_S:g} s")
        line = self._process.stdout.readline()
        if not line:
            raise self._failed("ended")
        answer: dict[str, Any] = json.loads(line)
        return answer

    def _failed(self, how: str) -> ChildFailed:
        return ChildFailed(f"The process of {self.name} {how}.\n{tail(self._errors)}".rstrip())


@contextmanager
def interrupts_later() -> Iterator[Callable[[], None]]:
    """Note Ctrl-C while entered: a process that is just being started has no owner yet who could end it.

    Calling what it gives raises ``KeyboardInterrupt`` if there was one.
    """
    noted = False

    def note(*_: object) -> None:
        nonlocal noted
        noted = True

    def interrupted() -> None:
        if noted:
            raise KeyboardInterrupt

    before = signal.signal(signal.SIGINT, note)
    try:
        yield interrupted
    finally:
        signal.signal(signal.SIGINT, before)


def start(
    module: Sequence[str], core: int | None, errors: IO[bytes], variables: Mapping[str, str] | None = None
) -> subprocess.Popen[str]:
    """Start ``python -m`` with ``module`` and its arguments on ``core``; stdin and stdout are pipes.

    ``variables`` are added to its environment.
    """
    with pinned(core):
        return subprocess.Popen(
            [sys.executable, "-m", *module],
            cwd=ROOT,
            env={**os.environ, "PYTHONPATH": str(ROOT), "PYTHONHASHSEED": "0", **(variables or {})},
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=errors,
            text=True,
            start_new_session=True,  # Ctrl-C is the parent's: it ends its children in order
        )


def end(process: subprocess.Popen[str], *, at_once: bool) -> None:
    """End a process that ends with its stdin, or SIGTERM; it is gone afterwards."""
    for pipe in (process.stdin, process.stdout):
        if pipe is not None:
            with suppress(BrokenPipeError):
                pipe.close()
    try:
        process.wait(0.0 if at_once else 10.0)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()


def tail(errors: IO[bytes]) -> str:
    """The end of what a process said on stderr."""
    errors.seek(0)
    return errors.read().decode(errors="replace").strip()[-4000:]
