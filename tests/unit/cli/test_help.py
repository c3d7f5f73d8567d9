"""Help teaches, and is quick because nothing heavy is loaded for it."""

from __future__ import annotations

import subprocess
import sys
from importlib.metadata import version

import click
import pytest

from alga_runner.cli import main

CONTEXT = click.Context(main)
COMMANDS = main.list_commands(CONTEXT)


def command(name: str) -> click.Command:
    command = main.get_command(CONTEXT, name)
    assert command is not None
    return command


def test_help_shows_how_to_begin(run) -> None:
    result = run("--help")

    assert result.exit_code == 0
    assert "alga-runner invoke my-extension POST /setup --grant scheduler.manage" in result.stdout


@pytest.mark.parametrize("name", COMMANDS)
def test_the_help_of_a_command_has_examples_and_exit_statuses(run, name: str) -> None:
    shown = " ".join(run(name, "--help").stdout.split())

    assert f" alga-runner {name}" in shown.partition("Example")[2]
    assert "Exit status: 0" in shown


@pytest.mark.parametrize("name", COMMANDS)
def test_every_option_says_what_it_does(name: str) -> None:
    options = [option for option in command(name).params if isinstance(option, click.Option)]
    silent = [option.name for option in options if not option.help]

    assert silent == []


@pytest.mark.parametrize("arguments", [[], *([name] for name in COMMANDS)])
def test_help_loads_neither_engine_nor_server_nor_models(arguments: list[str]) -> None:
    heavy = "{'wasmtime', 'pydantic', 'sqlalchemy', 'fastapi', 'rich', 'anyio', 'httpx'}"
    script = (
        "import sys; from alga_runner.cli import main\n"
        f"try: main([*{arguments!r}, '--help'])\n"
        f"except SystemExit: print(sorted({heavy} & set(sys.modules)), file=sys.stderr)"
    )

    ended = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)

    assert ended.stderr.strip() == "[]"


def test_the_version_is_the_distribution_s(run) -> None:
    assert version("alga-runner") in run("--version").stdout


def test_an_unknown_command_is_bad_usage(run) -> None:
    result = run("invok")

    assert result.exit_code == 2
    assert "invok" in result.stderr
