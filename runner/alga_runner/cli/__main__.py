"""``python -m alga_runner.cli``: the command where its script is not at hand."""

from __future__ import annotations

from .main import main

main(prog_name="alga-runner")
