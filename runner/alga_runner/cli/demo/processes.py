"""Signals that end the demonstration, and never in the middle of starting or ending a process.

One of the programs in a process of its own: started, waited for, and always ended.
"""

from __future__ import annotations

import os
import select
import shlex
import signal
import subprocess
import sys
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from time import monotonic
from types import FrameType

from alga_common.cli.failures import Failure

_SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)


def unmet(sentence: str) -> Failure:
    """The failure of a check that did not hold."""
    hint = "Run `alga-runner doctor`, and the demo once more; report what both print if it fails again."
    return Failure("", sentence, hint=hint)


class Signals:
    """SIGINT, SIGTERM and SIGHUP as one exception where the program happens to be; what follows the first is ignored.

    ``KeyboardInterrupt`` for SIGINT, for the others ``SystemExit`` with 128 and the signal's number.
    """

    def __init__(self) -> None:
        self._holds = 0
        self._first: int | None = None
        self._raised = False

    @contextmanager
    def obeyed(self) -> Iterator[None]:
        """Inside, signals raise. One that was ignored before stays ignored, as nohup wants it."""
        before = {number: signal.getsignal(number) for number in _SIGNALS}
        handled = [number for number in _SIGNALS if before[number] is not signal.SIG_IGN]
        for number in handled:
            signal.signal(number, self._tell)
        try:
            yield
        finally:
            for number in handled:
                signal.signal(number, before[number])

    @contextmanager
    def held(self) -> Iterator[None]:
        """Inside, signals wait; the first one raises at the end."""
        self.hold()
        yield
        self._holds -= 1
        self._raise()

    def hold(self) -> None:
        """From now on signals wait."""
        self._holds += 1

    def _tell(self, number: int, _frame: FrameType | None) -> None:
        if self._first is None:
            self._first = number
            self._raise()

    def _raise(self) -> None:
        if self._first is None or self._holds or self._raised:
            return
        self._raised = True
        raise KeyboardInterrupt if self._first == signal.SIGINT else SystemExit(128 + self._first)


START_S = 30.0
"""How long a program may take until it answers."""

_STATUS_S = 1.0
END_S = 20.0
"""How long it has between SIGTERM and SIGKILL."""

_LAST_LINES = 8
_MODULES = {"alga-server": "alga_server.cli", "alga-runner": "alga_runner.cli"}
_FOREIGN = ("ALGA_", "RUNNER_", "STORAGE_API_", "REGISTRY_", "BUNDLE_STORE_")
"""Variables that configure another server or runner."""


class Child:
    """``name serve``, in a process group of its own, its log in a file. Its creator calls ``end``."""

    def __init__(
        self, name: str, arguments: Sequence[str], environment: Mapping[str, str], log: Path
    ) -> None:
        self.command = shlex.join([name, *arguments])
        self.log = log
        self._name = name
        inherited = {key: value for key, value in os.environ.items() if not key.startswith(_FOREIGN)}
        with log.open("wb") as stderr:
            # -P: a module of the same name in the current folder is not ours.
            self._process = subprocess.Popen(  # noqa: S603
                [sys.executable, "-P", "-m", _MODULES[name], *arguments],
                stdin=subprocess.DEVNULL,
                stdout=subprocess.PIPE,
                stderr=stderr,
                env={**inherited, **environment},
                process_group=0,
            )

    def wait_until_it_answers(self) -> None:
        """Return once it listens. Raises ``Failure`` with the end of its log if it does not."""
        deadline = monotonic() + START_S
        said = b""
        while b" listening on " not in said or not said.endswith(b"\n"):
            more = self._read(deadline - monotonic())
            if not more:
                # What it wrote ends a moment before its exit status is there.
                with suppress(subprocess.TimeoutExpired):
                    self._process.wait(timeout=_STATUS_S)
                raise self.failure("did not start")
            said += more

    @property
    def ended(self) -> bool:
        """Whether it is gone."""
        return self._process.poll() is not None

    def terminate(self) -> None:
        """Ask it to end."""
        self._signal(signal.SIGTERM)

    def end(self) -> int:
        """Its exit status, once it has ended; it is killed when that takes longer than ``END_S`` seconds."""
        with suppress(subprocess.TimeoutExpired):
            self._process.wait(timeout=END_S)
        self._signal(signal.SIGKILL)
        if self._process.stdout is not None:
            self._process.stdout.close()
        return self._process.wait()

    def failure(self, what: str) -> Failure:
        """``what`` it did, and the last lines of its log."""
        lines = self.log.read_text(errors="replace").splitlines()[-_LAST_LINES:]
        status = "" if self._process.poll() is None else f" (exit status {self._process.returncode})"
        words = " Its last words: " + " | ".join(lines) if lines else " It said nothing."
        return unmet(f"{self._name} {what}{status}.{words}")

    def _read(self, seconds: float) -> bytes:
        """Read its next output on stdout, within ``seconds``; empty at the end."""
        stdout = self._process.stdout
        if stdout is None or not select.select([stdout], [], [], max(seconds, 0))[0]:
            return b""
        return os.read(stdout.fileno(), 4096)

    def _signal(self, number: signal.Signals) -> None:
        """Send ``number`` to its process group. Before it is waited for, the group's number cannot be another's."""
        if not self.ended:
            os.killpg(self._process.pid, number)
