"""``alga-runner precompile``: compiled code, before a request needs them."""

from __future__ import annotations

import click

from alga_common.cli.commands import load
from alga_common.cli.options import GivenText, json_option

_HELP = """Compile extensions into the code cache, so that no request waits for it.

PATH is an extension's folder, a packed bundle, a bare WebAssembly module, or a whole bundle store. Each module is
compiled once, however many bundles have it, within the same bounds on time and memory as in a runner; cached code is
left as it is. Run it as the user that the runner runs as: the cache is private.

\b
Examples:
  alga-runner precompile /srv/bundles
  alga-runner precompile my-extension other.tar.zst dist/main.wasm --json
  alga-runner precompile /srv/bundles --code-cache /var/cache/alga-runner --jobs 4

In a terminal a line shows the modules being compiled; elsewhere stderr gets a line for each finished module.
The table, or the JSON document, is printed at the end on stdout.

Exit status: 0 when every module is in the cache and a runner would run it, 1 when one is not, 2 for bad usage, 130
after Ctrl-C.
"""


@click.command(help=_HELP, short_help="Compile extensions before a request needs them.")
@click.argument("paths", nargs=-1, required=True, metavar="PATH...", type=click.Path())
@click.option(
    "--code-cache",
    metavar="FOLDER",
    type=GivenText(),
    help="Where compiled code is kept.  [env: ALGA_RUNNER_CODE_CACHE; default: in the user's cache]",
)
@click.option(
    "--jobs",
    type=click.IntRange(1, 256),
    metavar="N",
    help="Modules that are compiled concurrently.  [default: one for each core]",
)
@json_option
@click.pass_context
def precompile(
    ctx: click.Context,
    *,
    paths: tuple[str, ...],
    code_cache: str | None,
    jobs: int | None,
    as_json: bool,
) -> None:
    """See ``_HELP``."""
    ready = load("alga_runner.cli.precompile.report:precompile")(
        paths, code_cache=code_cache, jobs=jobs, as_json=as_json
    )
    ctx.exit(0 if ready else 1)
