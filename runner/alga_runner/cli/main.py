"""The command line's front: the group and what holds for every command."""

from __future__ import annotations

import click

from alga_common.cli.commands import Commands, load
from alga_common.cli.options import VariableOption

from .failures import explain

_COMMANDS = {
    "conformance": "alga_runner.cli.conformance.command:conformance",
    "demo": "alga_runner.cli.demo.command:demo",
    "doctor": "alga_runner.cli.doctor:doctor",
    "inspect": "alga_runner.cli.inspect.command:inspect",
    "invoke": "alga_runner.cli.invoke.command:invoke",
    "keygen": "alga_runner.cli.bundle.commands:keygen",
    "native": "alga_runner.cli.native:native",
    "pack": "alga_runner.cli.bundle.commands:pack",
    "precompile": "alga_runner.cli.precompile.command:precompile",
    "serve": "alga_runner.cli.serve:serve",
    "sign": "alga_runner.cli.bundle.commands:sign",
    "verify": "alga_runner.cli.bundle.commands:verify",
}

_HELP = """Run Alga extensions written in WebAssembly.

\b
  alga-runner demo
      see an extension manage its schedules, allowed and refused, over real sockets
  alga-runner inspect my-extension
      what it declares, imports and exports; nothing of it runs
  alga-runner invoke my-extension POST /setup --grant scheduler.manage
      call one of its endpoints and see everything it did
  alga-runner pack my-extension
      make its bundle; keygen makes a key, sign signs the bundle with it, verify names who did
  alga-runner precompile bundles
      compile published extensions before a request needs them
  alga-runner serve --bundle-store bundles --server-url https://alga.example
      execute over HTTP, for an Alga server
  alga-runner conformance
      probe this runner, or another host, with guests for every rule of the guest ABI
  alga-runner native
      build the engine's native helper, for faster executions
  alga-runner doctor
      check that serve would be ready, and what to do where it would not

An extension is a folder (manifest.json, dist/main.wasm) or a packed bundle (.tar.zst). demo and
invoke bring a server of their own.

Exit status: 0 done, 1 failed, 2 bad usage, 130 interrupted.
"""


def _check_environment() -> None:
    load("alga_runner.settings:Settings").check_environment()


@click.group(cls=Commands, places=_COMMANDS, check=_check_environment, explain=explain, help=_HELP)
@click.version_option(package_name="alga-runner", prog_name="alga-runner")
@click.option(
    "--debug",
    cls=VariableOption,
    is_flag=True,
    envvar="ALGA_RUNNER_DEBUG",
    help="Show the traceback of a failure.  [env: ALGA_RUNNER_DEBUG]",
)
def main(debug: bool) -> None:
    """See ``_HELP``; ``debug`` is read by ``Commands``."""
