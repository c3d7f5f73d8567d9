"""Processes of their own that use up the memory maps that the kernel allows."""

from __future__ import annotations

import subprocess
import sys
import textwrap

from .patience import PATIENCE_S

MAPS = """
    import mmap
    from contextlib import suppress
    from alga_runner.engine.check.capacity import read_maps

    def taking_maps(left):
        '''So many memory maps that about ``left`` are left.'''
        maps, taken = read_maps(), []
        # For none left: until the kernel refuses, since another thread may free some meanwhile.
        with suppress(OSError):
            for number in range(maps.allowed - maps.taken - left if left else maps.allowed):
                # Neighbours that differ are not merged.
                taken.append(mmap.mmap(-1, 4096, flags=mmap.MAP_PRIVATE, prot=1 + 2 * (number % 2)))
        return taken
"""


def run_program(program: str, timeout_s: int = PATIENCE_S) -> tuple[int, str, str]:
    """What a process with a program of its own ended with and wrote: ``MAPS``, then ``program``."""
    source = textwrap.dedent(MAPS) + textwrap.dedent(program)
    done = subprocess.run(
        [sys.executable, "-c", source], capture_output=True, text=True, timeout=timeout_s, check=False
    )
    return done.returncode, done.stdout.strip(), done.stderr
