"""A process that serves gives back what its threads used for a while."""

from __future__ import annotations

import subprocess
import sys

import pytest

pytestmark = pytest.mark.processes

THREADS = 12
BLOCK_BYTES = 24 * 1024 * 1024
MOST_LEFT_BYTES = 2 * BLOCK_BYTES

USED_BY_THREADS = f"""
import sys, threading
from alga_common.system.heap import keep_little_free_memory
from alga_common.system.memory import anonymous_bytes

if sys.argv[1] == "bounded":
    keep_little_free_memory()
del bytearray({BLOCK_BYTES + 1})[:]  # glibc takes such blocks from its heaps from now on, unless it must not
all_used, measured = threading.Barrier({THREADS} + 1), threading.Barrier({THREADS} + 1)
before = anonymous_bytes()

def use():
    block = bytearray(b"x") * {BLOCK_BYTES}
    kept = [bytes(5_000)]  # above the block in its heap
    all_used.wait()
    measured.wait()
    del block
    return kept

threads = [threading.Thread(target=use) for _ in range({THREADS})]
for thread in threads:
    thread.start()
all_used.wait()
used = anonymous_bytes() - before
measured.wait()
for thread in threads:
    thread.join()
print(used, anonymous_bytes() - before)
"""


def used_and_left(how: str) -> tuple[int, int]:
    """Bytes that threads used, and what the process kept of them."""
    done = subprocess.run(
        [sys.executable, "-c", USED_BY_THREADS, how], check=True, capture_output=True, text=True
    )
    used, left = map(int, done.stdout.split())
    return used, left


def test_what_threads_used_is_given_back() -> None:
    used, left = used_and_left("bounded")

    assert used >= THREADS * BLOCK_BYTES
    assert left <= MOST_LEFT_BYTES
