"""One side of a comparison, in a process of its own: ``python -m benchmarks.child MODULE:CLASS``.

It reads orders from stdin, a line of JSON each, carries each out, and answers with a line on stdout: how long it took,
how much CPU the whole process used meanwhile, and counts. So the two sides share nothing, and the parent has them take
turns on one core. It ends with its stdin.
"""

from __future__ import annotations

import gc
import json
import os
import sys
from collections.abc import Awaitable, Callable, Mapping
from importlib import import_module
from time import perf_counter, process_time
from types import TracebackType
from typing import Any, Self

import anyio

Counts = Mapping[str, float]
Work = Callable[[], Awaitable[Counts]]


class WrongAnswer(Exception):
    """A guest or a server did not answer what it must."""


class Contestant:
    """What a child process does. Entered once, then given orders until the end."""

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self,
        exc_type: type[BaseException] | None,
        exc: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        return

    async def prepare(self, order: Mapping[str, Any]) -> Work:
        """What carries ``order`` out, with everything made ready that is not to be measured.

        It returns counts of its work, among them ``done``. Raises ``WrongAnswer``.
        """
        raise NotImplementedError


async def _serve(contestant: Contestant) -> None:
    async with contestant:
        _say({"ready": True})
        for line in sys.stdin:  # blocks the event loop on purpose: between orders nothing may run
            work = await contestant.prepare(json.loads(line))
            gc.collect()
            cpu, wall = process_time(), perf_counter()
            counts = await work()
            wall, cpu = perf_counter() - wall, process_time() - cpu
            _say({"wall_s": wall, "cpu_s": cpu, "counts": dict(counts)})


def _say(document: object) -> None:
    _answers.write(json.dumps(document) + "\n")
    _answers.flush()


_answers = sys.stdout


def main(name: str) -> None:
    """Be the contestant ``name``."""
    global _answers  # noqa: PLW0603 - nothing else may print where the parent reads
    _answers = os.fdopen(os.dup(1), "w", encoding="utf-8")
    os.dup2(2, 1)
    module, _, contestant = name.partition(":")
    anyio.run(_serve, getattr(import_module(module), contestant)())


if __name__ == "__main__":
    main(sys.argv[1])
