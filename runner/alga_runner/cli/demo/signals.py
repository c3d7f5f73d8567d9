"""Signals that end the demonstration, and never in the middle of starting or ending a process."""

from __future__ import annotations

import signal
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType

_SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)


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
        before = {each: signal.getsignal(each) for each in _SIGNALS}
        mine = [each for each in _SIGNALS if before[each] is not signal.SIG_IGN]
        for each in mine:
            signal.signal(each, self._tell)
        try:
            yield
        finally:
            for each in mine:
                signal.signal(each, before[each])

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
