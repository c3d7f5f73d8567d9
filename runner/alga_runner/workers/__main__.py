"""A worker: ``python -m alga_runner.workers CHANNEL LISTENER COUNTS``, three file descriptors. For the supervisor."""

from __future__ import annotations

import sys

from .worker import main

sys.exit(main(*map(int, sys.argv[1:])))
