"""``alga-server environment``: one command prints what a server and a runner need to know each other."""

from __future__ import annotations

import os
import stat
from pathlib import Path

import click
import pytest
from click.testing import CliRunner

from alga_server.cli import main
from alga_server.cli.tokens import TOKENS, read_tokens


def printed() -> dict[str, str]:
    result = CliRunner().invoke(main, ["environment"])
    assert result.exit_code == 0
    lines = [line.removeprefix("export ") for line in result.stdout.splitlines()]
    return dict(line.split("=", 1) for line in lines)


def test_runner_and_server_get_the_same_tokens() -> None:
    environment = printed()

    assert environment["RUNNER_STORAGE_API_TOKEN"] == environment["ALGA_SERVER_RUNNER_TOKEN"]
    assert environment["UI_PROXY_AUTH_KEY"] == environment["ALGA_SERVER_RUNNER_TOKEN"]
    assert environment["ALGA_AUTH_KEY"] == environment["ALGA_SERVER_RUNNER_TOKEN"]
    assert environment["RUNNER_SERVICE_TOKEN"] == environment["ALGA_SERVER_RUNNER_SERVICE_TOKEN"]
    assert environment.pop("ALGA_RUNNER_SERVER_DIALECT") == "prd"
    assert len(set(environment.values())) == len(TOKENS)


def test_every_call_prints_other_tokens() -> None:
    assert set(printed().values()) & set(printed().values()) == {"prd"}


def test_a_file_is_its_owners_alone_before_a_token_is_in_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    modes: list[int] = []
    with (tmp_path / "tokens.env").open("w") as file:
        os.fchmod(file.fileno(), 0o644)
        monkeypatch.setattr("sys.stdout", file)
        monkeypatch.setattr(
            click, "echo", lambda _: modes.append(stat.S_IMODE(os.fstat(file.fileno()).st_mode))
        )
        main(["environment"], standalone_mode=False)

    assert set(modes) == {0o600}


def test_the_output_is_a_token_file(tmp_path: Path) -> None:
    environment = printed()
    file = tmp_path / "tokens.env"
    file.write_text("".join(f"export {name}={value}\n" for name, value in environment.items()))
    file.chmod(0o600)

    assert read_tokens(file) == {setting: environment[variable] for setting, variable in TOKENS.items()}
