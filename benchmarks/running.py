"""Starts a server next to the measured process, finds its address, reads its CPU time, and ends it."""

from __future__ import annotations

import os
import signal
import tempfile
from collections.abc import Sequence
from pathlib import Path
from select import select
from types import TracebackType
from typing import Self

from .processes import ChildFailed, end, interrupts_later, start, tail

_START_S = 60.0


class Server:
    """``python -m`` with ``module`` and its arguments on ``core``; its first line on stdout ends with its URL."""

    def __init__(self, module: Sequence[str], core: int) -> None:
        self._module = tuple(module)
        self._core = core

    def __enter__(self) -> Self:
        self._errors = tempfile.TemporaryFile()
        with interrupts_later() as interrupted:
            self._process = start(self._module, self._core, self._errors)
        try:
            interrupted()
            self.url = self._announced()
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

    def _announced(self) -> str:
        assert self._process.stdout is not None  # noqa: S101 - it is a pipe
        line = ""
        if select([self._process.stdout], [], [], _START_S)[0]:
            line = self._process.stdout.readline()
        if "http://" not in line:
            raise ChildFailed(f"{self._module[0]} did not start.\n{tail(self._errors)}".rstrip())
        return line.split()[-1]

    def _end(self, *, at_once: bool) -> None:
        if self._process.poll() is None:
            self._process.send_signal(signal.SIGTERM)
        end(self._process, at_once=at_once)
        self._errors.close()

    def signal(self, number: int) -> None:
        """Send it a signal."""
        self._process.send_signal(number)

    @property
    def cpu_s(self) -> float:
        """CPU that all its threads have used, those that ended included, in seconds; it moves by ticks of 10 ms."""
        fields = Path(f"/proc/{self._process.pid}/stat").read_text("ascii").rpartition(")")[2].split()
        return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")
