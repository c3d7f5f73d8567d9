"""A worker does not outlive its supervisor."""

from __future__ import annotations

import os
import select
import signal
import threading
import time

LAST_WORDS_S = 5.0
"""How long a worker has to end by itself once the supervisor is gone."""


def end_with(channel: int) -> None:
    """Kill this process ``LAST_WORDS_S`` seconds after the other end of ``channel`` has closed.

    The event loop sees that end too, and ends in its own way; this is for a loop that does not turn any more. The
    channel must stay open as long as the process.
    """
    threading.Thread(target=_watch, args=(channel,), name="alga-runner-lifeline", daemon=True).start()


def _watch(channel: int) -> None:
    poll = select.poll()
    poll.register(channel, 0)  # nothing is asked for: a hang-up is always told
    poll.poll()
    time.sleep(LAST_WORDS_S)
    os.kill(os.getpid(), signal.SIGKILL)
