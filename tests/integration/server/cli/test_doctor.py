"""``alga-server doctor``: the checks of ``/readyz`` for an environment, in sentences."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import anyio
import pytest
from click.testing import CliRunner, Result

from alga_server import Server, ServerSettings
from alga_server.cli import main
from alga_server.cli.tokens import TOKENS

Doctor = Callable[..., Result]


@pytest.fixture
def doctor(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Doctor:
    monkeypatch.delenv("ALGA_SERVER_DATABASE_URL", raising=False)
    for variable in TOKENS.values():
        monkeypatch.delenv(variable, raising=False)
    monkeypatch.setenv("ALGA_SERVER_RUNNER_URL", "http://127.0.0.1:1")
    monkeypatch.chdir(tmp_path)
    return lambda *arguments: CliRunner().invoke(main, ["doctor", *arguments])


def test_each_failed_check_has_a_sentence_and_a_next_step(doctor: Doctor) -> None:
    result = doctor("--database", "alga.db", "--bundle-store", "bundles")

    assert result.exit_code == 1
    assert "ok      bundle_store: The bundle store can be read and written." in result.stdout
    assert "FAILED  runner: The runner cannot be reached." in result.stdout
    assert "next: Start it, or correct ALGA_SERVER_RUNNER_URL." in result.stdout
    assert result.stdout.endswith("Not ready: 1 check of 7 failed.\n")


def test_it_makes_no_database(doctor: Doctor, tmp_path: Path) -> None:
    doctor("--database", "alga.db")

    assert not (tmp_path / "alga.db").exists()


def test_a_database_in_use_is_read_and_written(doctor: Doctor, tmp_path: Path) -> None:
    async def make() -> None:
        async with Server(ServerSettings(database_url=f"sqlite:///{tmp_path / 'alga.db'}")):
            pass

    anyio.run(make)

    assert "ok      database: The database can be read and written." in doctor("--database", "alga.db").stdout


def test_the_document_has_codes_and_hints(doctor: Doctor) -> None:
    document = json.loads(doctor("--database", "alga.db", "--json").stdout)

    assert document["ready"] is False
    [failed] = [check for check in document["checks"] if check["failed"]]
    assert (failed["name"], failed["code"]) == ("runner", "unreachable")


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        ([], "FAILED  settings: No database is named."),
        (
            ["--database", "mysql://x"],
            "names mysql, which is not supported.",
        ),
        (
            ["--database", "a.db", "--token-file", "gone.env"],
            "FAILED  settings: The token file gone.env cannot be read",
        ),
    ],
)
def test_settings_that_cannot_be_used_are_one_failed_check(
    doctor: Doctor, arguments: list[str], sentence: str
) -> None:
    result = doctor(*arguments)

    assert (result.exit_code, result.stderr) == (1, "")
    assert sentence in result.stdout
    assert "Not ready: 1 check of 1 failed." in result.stdout
