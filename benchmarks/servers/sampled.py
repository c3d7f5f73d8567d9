"""``alga-runner`` with samples taken of what its main thread does: ``... sampled FILE serve ...`` writes them to FILE.

A first SIGUSR1 starts to count, so that starting and warming up are left out.
"""

from __future__ import annotations

import json
import signal
import sys
from contextlib import ExitStack, suppress
from pathlib import Path

from alga_runner.cli import main as alga_runner

from ..sampling import sampled


def main(file: Path, arguments: list[str]) -> None:
    """Run the command line; write the samples when it ends."""
    with ExitStack() as stack:
        samples: dict[str, int] = {}

        def begin(*_: object) -> None:
            nonlocal samples
            samples = stack.enter_context(sampled())

        signal.signal(signal.SIGUSR1, begin)
        with suppress(SystemExit):
            alga_runner(arguments)
    file.write_text(json.dumps(samples), "utf-8")


if __name__ == "__main__":
    main(Path(sys.argv[1]), sys.argv[2:])
