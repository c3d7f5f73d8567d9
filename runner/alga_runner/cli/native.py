"""``alga-runner native``: the engine's native helper, built where the engine looks for it."""

from __future__ import annotations

import click

from alga_common.cli.commands import load

_HELP = """Build the engine's native helper, a small C library that shortens each execution.

It is compiled from the source in this package by the C compiler of the package ziglang, and written next to it; nothing
else is fetched or run. A runner that starts afterwards takes it (setting native_engine), and doctor names it. Build it
again after an upgrade: a library of another version's source is not loaded.

\b
Example:
  pip install 'alga-runner[native]' && alga-runner native

Exit status: 0 when the library was built and loads, 1 when not.
"""


@click.command(help=_HELP, short_help="Build the engine's native helper.")
def native() -> None:
    """See ``_HELP``."""
    click.echo(f"Built {load('alga_runner.engine:build_native')()}.")
