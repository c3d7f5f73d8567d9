"""``alga-server migrate``: migrates the schema, or reports its version."""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Callable
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner, Result
from sqlalchemy import create_engine, make_url, text

from alga_server.cli import main
from alga_server.storage.migrations import head

pytestmark = pytest.mark.postgres

Migrate = Callable[..., Result]
AddStep = Callable[..., None]

OLD = head()


@pytest.fixture
def migrate(empty_database_url: str) -> Migrate:
    def call(*options: str, **more: Any) -> Result:
        return CliRunner().invoke(main, ["migrate", "--database", empty_database_url, *options], **more)

    return call


@pytest.fixture
def at_old(migrate: Migrate, add_step: AddStep) -> None:
    """An older server left the database."""
    migrate()
    add_step()


def test_an_empty_database_gets_its_tables(migrate: Migrate) -> None:
    result = migrate()

    assert (result.exit_code, result.stdout) == (
        0,
        f"The database was empty, and is at revision {head()} now.\n",
    )
    assert migrate("--check").exit_code == 0


@pytest.mark.usefixtures("at_old")
def test_an_older_one_is_brought_up(migrate: Migrate) -> None:
    result = migrate()

    assert result.stdout == f"The database was at revision {OLD}, and is at revision {head()} now.\n"
    assert migrate("--check").exit_code == 0


@pytest.mark.usefixtures("at_old")
def test_check_says_from_where_to_where_changes_nothing_and_fails(migrate: Migrate) -> None:
    first, again = migrate("--check"), migrate("--check", "--json")

    assert (first.exit_code, again.exit_code) == (1, 1)
    assert first.stdout == f"The database is at revision {OLD}; this version's revision is {head()}.\n"
    assert json.loads(again.stdout) == {"from": OLD, "to": head(), "current": False}


def test_check_does_not_make_a_file(tmp_path: Any) -> None:
    file = tmp_path / "none.db"

    result = CliRunner().invoke(main, ["migrate", "--check", "--database", str(file)])

    assert (result.exit_code, result.stdout.split(";")[0]) == (1, "The database is empty")
    assert not file.exists()


def test_a_second_time_there_is_nothing_to_do(migrate: Migrate) -> None:
    migrate()

    assert migrate().stdout == f"The database is at revision {head()}, which is this version's.\n"


def test_a_database_of_a_newer_server_is_not_touched(migrate: Migrate, empty_database_url: str) -> None:
    migrate()
    url = make_url(empty_database_url)
    engine = create_engine(
        url.set(drivername="postgresql+psycopg") if url.drivername == "postgresql" else url
    )
    with engine.begin() as connection:
        connection.execute(text("UPDATE alembic_version SET version_num = '9999'"))
    engine.dispose()

    result = migrate()

    assert result.exit_code == 1
    assert "newer server, to revision 9999" in result.stderr


def test_without_a_database_it_says_how_to_name_one(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("ALGA_SERVER_DATABASE_URL", raising=False)

    result = CliRunner().invoke(main, ["migrate"])

    assert result.exit_code == 2
    assert "Name the database, such as --database alga.db." in result.stderr


def test_the_environment_names_it_too(monkeypatch: pytest.MonkeyPatch, empty_database_url: str) -> None:
    monkeypatch.setenv("ALGA_SERVER_DATABASE_URL", empty_database_url)

    assert CliRunner().invoke(main, ["migrate"]).exit_code == 0


def test_a_url_without_its_driver_says_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(__import__("sys").modules, "psycopg", None)

    result = CliRunner().invoke(main, ["migrate", "--database", "postgresql://a:hunter2@host/d"])

    assert result.exit_code == 1
    assert "with its extra `postgres`" in result.stderr
    assert "hunter2" not in result.stderr


def test_a_postgresql_that_is_down_is_a_sentence() -> None:
    url = "postgresql://alga:hunter2@127.0.0.1:1/alga"
    result = CliRunner().invoke(main, ["migrate", "--database", url])

    assert result.exit_code == 1
    assert "is not usable: connection failed" in result.stderr
    assert "hint: Check that PostgreSQL runs there" in result.stderr
    assert "Traceback" not in result.output
    assert "hunter2" not in result.output


def test_a_locked_file_is_a_sentence(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("alga_server.storage.sqlite._BUSY_TIMEOUT_S", 0.01)
    file = tmp_path / "alga.db"
    CliRunner().invoke(main, ["migrate", "--database", str(file)])
    with closing(sqlite3.connect(file, isolation_level=None)) as other:
        other.execute("BEGIN IMMEDIATE")
        result = CliRunner().invoke(main, ["migrate", "--database", str(file)])

    assert result.exit_code == 1
    assert f"The database {file} " in result.stderr
    assert "is not usable: database is locked." in result.stderr
