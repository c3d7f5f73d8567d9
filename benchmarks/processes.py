"""The parent's side of ``child``: start contestants, give them orders, and end them whatever happens."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from select import select
from types import TracebackType
from typing import Any, Self

ROOT = Path(__file__).resolve().parent.parent
PATIENCE_S = 300.0
"""How long one order may take; a child that takes longer hangs."""


class ChildFailed(Exception):
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

    def __init__(self, contestant: type[Any] | str, core: int) -> None:
        self.name = (
            contestant
            if isinstance(contestant, str)
            else f"{contestant.__module__}:{contestant.__qualname__}"
        )
        self._core = core

    def __enter__(self) -> Self:
        self._errors = tempfile.TemporaryFile()
        self._process = subprocess.Popen(
            [sys.executable, "-m", "benchmarks.child", self.name, str(self._core)],
            cwd=ROOT,
            env={**os.environ, "PYTHONPATH": str(ROOT), "PYTHONHASHSEED": "0"},
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=self._errors,
            text=True,
            start_new_session=True,  # Ctrl-C is the parent's: it ends its children in order
        )
        try:
            self._read()
        except BaseException:
            self.__exit__(None, None, None)
            raise
        return self

    def __exit__(
        self,
        exc_type: type[BaseException] | None,
        exc: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        assert self._process.stdin is not None  # noqa: S101 - it is a pipe
        try:
            self._process.stdin.close()
            self._process.wait(0.0 if exc_type else 10.0)
        except (subprocess.TimeoutExpired, BrokenPipeError):
            self._process.kill()
            self._process.wait()
        self._errors.close()

    @property
    def pid(self) -> int:
        """The process's id."""
        return self._process.pid

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
        self._errors.seek(0)
        said = self._errors.read().decode(errors="replace").strip()
        return ChildFailed(f"The process of {self.name} {how}.\n{said[-4000:]}".rstrip())
