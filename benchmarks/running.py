"""Starts a server next to the measured process, finds its address, reads its CPU time, and ends it."""

from __future__ import annotations

import signal
import tempfile
from collections.abc import Mapping, Sequence
from pathlib import Path
from select import select
from time import clock_gettime
from types import TracebackType
from typing import Self

from .processes import ChildFailed, end, interrupts_later, start, tail

_START_S = 60.0
_SCHEDULED = 2
"""With a process id, the number of its clock, as clock_getcpuclockid(3) makes it: by the scheduler, in nanoseconds."""


class Server:
    """``python -m`` with ``module`` and its arguments on ``core``; its first line on stdout ends with its URL.

    ``variables`` are added to its environment.
    """

    def __init__(self, module: Sequence[str], core: int, variables: Mapping[str, str] | None = None) -> None:
        self._module = tuple(module)
        self._core = core
        self._variables = variables

    def __enter__(self) -> Self:
        self._errors = tempfile.TemporaryFile()
        with interrupts_later() as interrupted:
            self._process = start(self._module, self._core, self._errors, self._variables)
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
        """CPU that all its threads have used, those that ended included, in seconds."""
        return clock_gettime((~self._process.pid << 3) | _SCHEDULED)

    @property
    def resident_mb(self) -> float:
        """What it has in memory."""
        return self._memory_mb("VmRSS")

    @property
    def peak_mb(self) -> float:
        """The most that it had in memory so far."""
        return self._memory_mb("VmHWM")

    def _memory_mb(self, name: str) -> float:
        lines = Path(f"/proc/{self._process.pid}/status").read_text("ascii").splitlines()
        return next(int(line.split()[1]) for line in lines if line.startswith(name)) / 1024
