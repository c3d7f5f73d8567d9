"""``alga-runner inspect``: what an extension is, without running it."""

from __future__ import annotations

import click

from alga_common.cli.commands import load
from alga_common.cli.options import json_option

_HELP = """Describe an extension without running any of it.

PATH is an extension's folder, a packed bundle, or a bare WebAssembly module. Shown are its manifest, the guest ABI it
speaks, its imports with the capability that each needs, declared capabilities that nothing uses and needed ones that
are not declared, its exports, its size and its content hash. A module that a runner would refuse is described as far
as possible, and the reason is given at the end.

\b
Examples:
  alga-runner inspect my-extension
  alga-runner inspect bundle.tar.zst --json
  alga-runner inspect dist/main.wasm

Exit status: 0 when a runner would load it, 1 when it would not or there is nothing to read, 2 for bad usage.
"""


@click.command(help=_HELP, short_help="Describe an extension without running any of it.")
@click.argument("path", type=click.Path())
@json_option
@click.pass_context
def inspect(ctx: click.Context, path: str, *, as_json: bool) -> None:
    """See ``_HELP``."""
    loads = load("alga_runner.cli.inspect.report:inspect")(path, as_json=as_json)
    ctx.exit(0 if loads else 1)
