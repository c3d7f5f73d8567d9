"""A server of its own for a command: start it, wait until it answers, stop it in every case."""

from __future__ import annotations

import ctypes
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path
from types import FrameType
from typing import Any

STARTS_WITHIN_S = 60
STOPS_WITHIN_S = 20


def command() -> list[str]:
    """What the command line gives after ``--``."""
    arguments = sys.argv[1:]
    return arguments[1:] if arguments[:1] == ["--"] else arguments


def ends_on_sigterm() -> None:
    """Let SIGTERM end the program as Ctrl-C does, so that what it started is stopped."""
    signal.signal(signal.SIGTERM, _interrupted)


def status_of(command: Sequence[str], server: AbstractContextManager[Mapping[str, str]]) -> int:
    """Run ``command`` while the server runs, with the server's variables in its environment; its exit status."""
    try:
        with server as variables:
            return subprocess.run(command, env={**os.environ, **variables}, check=False).returncode
    except KeyboardInterrupt:
        return 130


@contextmanager
def server(
    name: str,
    arguments: Sequence[str | Path],
    log: Path,
    answers: Callable[[], bool],
    stops: Sequence[signal.Signals] = (signal.SIGTERM, signal.SIGKILL),
    **options: Any,
) -> Iterator[None]:
    """Keep a server for as long as the context lasts, from its first answer on.

    ``stops`` are the signals that end it, each after the one before had ``STOPS_WITHIN_S``. Raises ``SystemExit`` with
    the end of its log if it does not answer within ``STARTS_WITHIN_S``.
    """
    with log.open("wb") as output:
        process = subprocess.Popen(
            arguments,
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=output,
            start_new_session=True,  # Ctrl-C is for the command
            preexec_fn=_ends_with(os.getpid()),  # noqa: PLW1509 - no other thread is there
            **options,
        )
    try:
        until = time.monotonic() + STARTS_WITHIN_S
        while not answers():
            if process.poll() is not None or time.monotonic() > until:
                raise SystemExit(f"{name} did not start: {log.read_text(errors='replace')[-2000:]}")
            time.sleep(0.05)
        yield
    finally:
        _stop(process, stops)


def _stop(process: subprocess.Popen[bytes], stops: Sequence[signal.Signals]) -> None:
    for how in stops:
        process.send_signal(how)
        try:
            process.wait(STOPS_WITHIN_S)
        except subprocess.TimeoutExpired:
            continue
        return


def _ends_with(parent: int) -> Callable[[], None]:
    """What a child does first, so that it is stopped even when this process is killed."""
    libc = ctypes.CDLL(None)

    def first() -> None:
        libc.prctl(1, int(signal.SIGQUIT))  # PR_SET_PDEATHSIG
        if os.getppid() != parent:
            os._exit(1)

    return first


def _interrupted(_number: int, _frame: FrameType | None) -> None:
    raise KeyboardInterrupt
