"""Starts the compiler's process when it is needed and ends it; sends it orders."""

from __future__ import annotations

import os
import socket
import subprocess
import sys
import threading
from contextlib import suppress
from pathlib import Path
from typing import NamedTuple

import wasmtime

from ...errors import EngineForked, EngineUnavailable
from .protocol import READY, Order

_START_S = 60.0
"""How long the process has to start: a tenth of a second, unless the machine is overloaded."""

_END_S = 2.0
"""How long the process has to end by itself when the runner's does."""

_START = """
import sys, types
sys.path += sys.argv[1:]
import alga_runner
engine = types.ModuleType("alga_runner.engine")
engine.__path__ = [alga_runner.__path__[0] + "/engine"]
sys.modules[engine.__name__] = engine
from alga_runner.engine.compile.process import main
main(0)
"""
"""The process's program. An empty package replaces ``engine``, whose import takes 150 ms and 13 MB."""

_INHERITED = ("LD_LIBRARY_PATH",)
"""Variables that the process gets: what its Python may need to start. No secret is in them."""

_MAX_MESSAGE_BYTES = 2_000


class SentOrder(NamedTuple):
    """An order that a process was sent."""

    socket: socket.socket
    """It receives the job's ``REPORT``, or EOF if the process ended; closing it ends the job."""
    process: subprocess.Popen[bytes] | None


class CompilerClient:
    """The one compiler's process of this process. Its methods may be called from any thread."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._pid = 0
        self._control: socket.socket | None = None
        self._process: subprocess.Popen[bytes] | None = None
        self._reaper: threading.Thread | None = None
        self._messages = -1

    def send(self, order: Order, *files: int) -> SentOrder:
        """Send ``order`` with its ``files``: input, output and messages.

        Raises ``EngineUnavailable`` if no process can be started, and ``EngineForked``.
        """
        ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        try:
            with theirs, self._lock:
                try:
                    control = self._control or self._start()
                    socket.send_fds(control, [order.packed()], [*files, theirs.fileno()])
                except (BrokenPipeError, ConnectionResetError):  # it was idle, and ended
                    self._forget()
                    socket.send_fds(self._start(), [order.packed()], [*files, theirs.fileno()])
                process = self._process
        except BaseException as error:
            ours.close()
            if isinstance(error, OSError):
                raise EngineUnavailable(
                    f"The compiler's process cannot be reached: {error.strerror}."
                ) from error
            raise
        ours.setblocking(False)
        return SentOrder(ours, process)

    def replace(self, process: subprocess.Popen[bytes] | None) -> None:
        """Send no more orders to ``process``, one of whose orders had no report: it is about to end.

        Its end closes the sockets of its orders before the one that it gets them from: until it is over, another order
        would be lost as well.
        """
        with self._lock:
            if self._process is process:
                self._forget()

    def last_message(self) -> str:
        """The last line that the process wrote to its standard error; empty unless it failed."""
        with self._lock:
            return self._last_message()

    def _last_message(self) -> str:
        messages = os.pread(self._messages, _MAX_MESSAGE_BYTES, 0) if self._messages >= 0 else b""
        lines = messages.decode(errors="replace").strip().splitlines()
        return lines[-1] if lines else ""

    def close(self) -> None:
        """End the process with its jobs, and wait for it. The next order starts it again."""
        with self._lock:
            self._forget()

    def after_fork_in_child(self) -> None:
        """Leave the process to the parent; some thread of it may hold the lock."""
        self._lock = threading.Lock()

    def _start(self) -> socket.socket:
        if self._process is not None and self._pid == os.getpid():
            self._forget()
        if self._process is not None:
            raise EngineForked(
                "The compiler's process belongs to the process that this one was forked from.",
                hint="Start workers with the spawn method, or make the Runner in the worker.",
            )
        if not sys.executable:
            raise EngineUnavailable("There is no Python to start the compiler's process with.")
        ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        self._messages = os.memfd_create("alga-runner-compiler-messages")
        paths = {str(Path(file).parents[up]) for file, up in ((__file__, 3), (wasmtime.__file__, 1))}
        with theirs:
            try:
                self._process = subprocess.Popen(  # noqa: S603
                    [sys.executable, "-I", "-S", "-c", _START, *sorted(paths)],
                    stdin=theirs.fileno(),
                    stdout=subprocess.DEVNULL,
                    stderr=self._messages,
                    env={name: os.environ[name] for name in _INHERITED if name in os.environ},
                    cwd="/",
                    process_group=0,  # Ctrl-C is for the runner, which may want to finish something
                )
            except OSError as error:
                ours.close()
                raise EngineUnavailable(
                    f"The compiler's process cannot be started: {error.strerror}.",
                    hint="The runner starts its own Python once more to compile modules: let it.",
                ) from None
        self._pid = os.getpid()
        self._reaper = threading.Thread(
            target=self._process.wait, name="alga-runner-compiler-reaper", daemon=True
        )
        self._reaper.start()
        if not _is_ready(ours):
            ours.close()
            message = self._last_message()
            raise EngineUnavailable(
                "The compiler's process does not start."
                + (f" Its last message: {message}" if message else ""),
                hint="The runner starts its own Python once more to compile modules: let it.",
            )
        self._control = ours
        return ours

    def _forget(self) -> None:
        control, process, reaper = self._control, self._process, self._reaper
        self._control = self._process = self._reaper = None
        if self._messages >= 0:
            os.close(self._messages)
            self._messages = -1
        if control is not None:
            control.close()
        if process is None or reaper is None or self._pid != os.getpid():
            return
        with suppress(KeyboardInterrupt):  # a second Ctrl-C: kill the process without waiting
            reaper.join(_END_S)
        if reaper.is_alive():
            with suppress(ProcessLookupError):
                process.kill()
            reaper.join()


def _is_ready(control: socket.socket) -> bool:
    control.settimeout(_START_S)
    try:
        return control.recv(len(READY)) == READY
    except OSError:
        return False
    finally:
        control.settimeout(None)
