"""Every command explains itself."""

from __future__ import annotations

import subprocess
import sys
from importlib.metadata import version

import click
import pytest

from alga_server.cli import main
from tests.support.server_cli import NAME, Run, done

CONTEXT = click.Context(main)
COMMANDS = main.list_commands(CONTEXT)
CLIENTS = [name for name in COMMANDS if name not in {"environment", "serve", "migrate", "backup", "restore"}]
ARGUMENTS = {
    "publish": ["."],
    "install": [NAME, "--tenant", "acme"],
    "grant": [NAME, "--tenant", "acme", "--grant", "log.emit"],
    "revoke": [NAME, "--tenant", "acme", "--grant", "log.emit"],
    "configure": [NAME, "--tenant", "acme", "--unset", "region"],
    "call": [NAME, "GET", "/report", "--tenant", "acme"],
    **{name: [NAME, "--tenant", "acme"] for name in ("enable", "disable", "uninstall", "upgrade", "run-now")},
    **{name: ["--tenant", "acme"] for name in ("installs", "schedules", "runs")},
}


def command(name: str) -> click.Command:
    command = main.get_command(CONTEXT, name)
    assert command is not None
    return command


def test_help_shows_how_to_begin(alga: Run) -> None:
    assert "alga-server install com.example.sync --tenant acme --grant scheduler.manage" in done(
        alga("--help")
    )


@pytest.mark.parametrize("name", COMMANDS)
def test_the_help_of_a_command_has_examples_and_exit_statuses(alga: Run, name: str) -> None:
    shown = " ".join(done(alga(name, "--help")).split())

    assert f" alga-server {name}" in shown.partition("Examples:")[2]
    assert "Exit status: 0" in shown


@pytest.mark.parametrize("name", COMMANDS)
def test_every_option_says_what_it_does_and_every_command_has_json(name: str) -> None:
    options = [param for param in command(name).params if isinstance(param, click.Option)]

    assert [option.name for option in options if not option.help] == []
    # ``environment`` prints lines for a shell and nothing else.
    assert ("--json" in {text for option in options for text in option.opts}) == (name != "environment")


@pytest.mark.parametrize("name", COMMANDS)
def test_no_command_takes_a_token_or_more_than_one_thing_by_position(name: str) -> None:
    params = command(name).params

    # ``call`` takes method and route after the install, like ``alga-runner invoke``.
    assert sum(isinstance(param, click.Argument) for param in params) <= (3 if name == "call" else 1)
    assert [
        text for param in params for text in param.opts if "token" in text and text != "--token-file"
    ] == []


@pytest.mark.parametrize("arguments", [[], *([name] for name in COMMANDS)])
def test_help_loads_neither_server_nor_client(arguments: list[str]) -> None:
    heavy = "{'pydantic', 'sqlalchemy', 'fastapi', 'rich', 'anyio', 'httpx', 'uvicorn'}"
    script = (
        "import sys; from alga_server.cli import main\n"
        f"try: main([*{arguments!r}, '--help'])\n"
        f"except SystemExit: print(sorted({heavy} & set(sys.modules)), file=sys.stderr)"
    )

    ended = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)

    assert ended.stderr.strip() == "[]"


def test_the_version_is_the_distribution_s(alga: Run) -> None:
    assert version("alga-runner") in done(alga("--version"))
