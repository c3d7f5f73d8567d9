"""A backup of a live database is one state of it, and a server restored from it fires each due schedule once."""

from __future__ import annotations

import json
import shutil
import sqlite3
import stat
from collections.abc import Callable
from contextlib import closing
from pathlib import Path
from typing import Any

import anyio
import httpx
import pytest
from anyio import to_thread
from click.testing import CliRunner, Result

from alga_server import Server, ServerSettings
from alga_server.cli import main
from alga_server.storage import backup
from alga_server.storage.migrations import head
from alga_server.storage.sqlite import sqlite_file, sqlite_url
from tests.support.server import FakeRunner, Install

pytestmark = pytest.mark.anyio

Cli = Callable[..., Result]


@pytest.fixture
def database(tmp_path: Path) -> Path:
    return tmp_path / "live 100%.db"


@pytest.fixture
def settings(settings: ServerSettings, database: Path) -> ServerSettings:
    unbounded = {"max_schedules_per_install": 1_000_000, "schedule_changes_burst": 1_000_000}
    return settings.model_copy(update={"database_url": sqlite_url(database), **unbounded})


@pytest.fixture
def runner_transport(fake_runner: FakeRunner) -> httpx.AsyncBaseTransport:
    return httpx.MockTransport(fake_runner)


@pytest.fixture
def cli(database: Path) -> Cli:
    def call(command: str, file: Path, *options: str, database: Path = database) -> Result:
        return CliRunner().invoke(main, [command, str(file), "--database", str(database), *options])

    return call


@pytest.fixture
def file(tmp_path: Path) -> Path:
    return tmp_path / "alga.backup"


@pytest.fixture
def at_rest(cli: Cli, database: Path) -> Path:
    """A database that no server has open."""
    assert CliRunner().invoke(main, ["migrate", "--database", str(database)]).exit_code == 0
    return database


def failed(result: Result, code: str) -> str:
    assert result.exit_code == 1, result.output
    assert result.stderr.startswith(f"error[{code}]: "), result.stderr
    return result.stderr


def tables(file: Path) -> int:
    with closing(sqlite3.connect(file)) as connection:
        [count] = connection.execute("SELECT count(*) FROM sqlite_schema").fetchone()
    return int(count)


async def test_a_server_restored_from_a_backup_under_writes_fires_what_is_due_exactly_once(
    install: Install, cli: Cli, file: Path, fake_runner: FakeRunner, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(backup, "_PAGES", 1)  # so that there are many steps, with writes between them
    known = {await install.create(cron="0 * * * *") for _ in range(3)}
    copied = file.with_name("restored.db")
    written: list[str] = []
    backed_up = anyio.Event()

    async def keep_writing() -> None:
        while not backed_up.is_set():
            written.append(await install.create(cron="0 0 1 1 *"))

    async with anyio.create_task_group() as group:
        group.start_soon(keep_writing)
        while not written:
            await anyio.lowlevel.checkpoint()
        result = await to_thread.run_sync(cli, "backup", file)
        backed_up.set()

    assert result.exit_code == 0, result.output
    assert (await to_thread.run_sync(lambda: cli("restore", file, database=copied))).exit_code == 0

    clock = install.alga.clock
    await install.alga.pass_time(hours=1)  # the live server fires them, too: the restored one does not know
    fake_runner.asked.clear()
    again = install.alga.server._services.settings.model_copy(update={"database_url": sqlite_url(copied)})
    async with Server(again, clock=clock, runner_transport=httpx.MockTransport(fake_runner)) as restored:
        await restored.dispatcher.run_due()
        await restored.dispatcher.run_due()
        rows = await restored._services.database.read(
            lambda c: c.exec_driver_sql("SELECT id FROM tenant_extension_schedule").scalars().all()
        )

    assert sorted(asked["context"]["schedule_id"] for asked in fake_runner.asked) == sorted(known)
    assert fake_runner.nominal_times() == ["2026-01-01T01:00:00.000Z"] * 3
    assert known < set(rows) <= known | set(written)


def test_a_backup_is_the_database_as_it_was_when_it_began(
    at_rest: Path, file: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(backup, "_PAGES", 1)
    insert = (
        "INSERT INTO extension_bundle (content_hash, archive, created_at) VALUES (?, x'00', '2026-01-01')"
    )
    with closing(sqlite3.connect(at_rest, isolation_level=None)) as writer:

        def write(done: int, pages: int) -> None:
            writer.execute(insert, [str(done)])

        backup.back_up(at_rest, file, force=False, progress=write)
        [written] = writer.execute("SELECT count(*) FROM extension_bundle").fetchone()

    with closing(sqlite3.connect(file)) as copy:
        assert written > 10
        assert copy.execute("SELECT count(*) FROM extension_bundle").fetchone() == (0,)


async def test_a_plain_copy_of_a_live_file_is_refused_and_changes_nothing(
    install: Install, cli: Cli, file: Path, database: Path, tmp_path: Path
) -> None:
    shutil.copy(database, file)

    said = failed(cli("restore", file, database=tmp_path / "new.db"), "not_a_database")

    assert "make one with alga-server backup" in said
    assert not (tmp_path / "new.db").exists()


async def test_a_database_that_a_server_has_open_is_not_replaced(
    install: Install, cli: Cli, file: Path, database: Path
) -> None:
    await to_thread.run_sync(cli, "backup", file)
    schedule_id = await install.create()

    said = failed(await to_thread.run_sync(cli, "restore", file, "--force"), "database_in_use")

    assert f"has the database {database} open" in said
    assert [schedule["id"] for schedule in await install.list()] == [schedule_id]


def test_a_backup_that_exists_is_replaced_only_by_force(cli: Cli, at_rest: Path, file: Path) -> None:
    file.write_text("precious")

    assert f"There is a file {file} already." in failed(cli("backup", file), "file_exists")
    assert file.read_text() == "precious"
    assert cli("backup", file, "--force").exit_code == 0
    assert stat.S_IMODE(file.stat().st_mode) == 0o600
    assert sorted(path.name for path in file.parent.iterdir()) == sorted([file.name, at_rest.name])


def test_a_database_that_exists_is_replaced_only_by_force(cli: Cli, at_rest: Path, file: Path) -> None:
    cli("backup", file)
    with closing(sqlite3.connect(at_rest)) as connection:
        connection.execute("CREATE TABLE later (id)")

    failed(cli("restore", file), "file_exists")
    assert tables(at_rest) == tables(file) + 1
    result = cli("restore", file, "--force", "--json")

    assert tables(at_rest) == tables(file)
    assert json.loads(result.stdout) == {
        "database": str(at_rest),
        "file": str(file),
        "revision": head(),
        "bytes": at_rest.stat().st_size,
    }


@pytest.mark.parametrize("force", [(), ("--force",)])
def test_a_database_is_no_backup_of_itself(
    cli: Cli, at_rest: Path, tmp_path: Path, force: tuple[str, ...]
) -> None:
    link = tmp_path / "link"
    link.symlink_to(at_rest)

    failed(cli("backup", link, *force), "same_file")
    failed(cli("restore", link, *force), "same_file")


def test_a_damaged_backup_is_not_restored(cli: Cli, at_rest: Path, file: Path) -> None:
    cli("backup", file)
    content = bytearray(file.read_bytes())
    content[8192:16384] = bytes(8192)
    file.write_bytes(content)
    before = at_rest.read_bytes()

    failed(cli("restore", file, "--force"), "database_damaged")

    assert at_rest.read_bytes() == before


def test_a_damaged_database_has_no_backup(cli: Cli, at_rest: Path, file: Path) -> None:
    at_rest.write_bytes(b"nonsense" * 1000)

    failed(cli("backup", file), "database_damaged")

    assert [path.name for path in file.parent.iterdir()] == [at_rest.name]


def test_a_backup_of_a_newer_server_is_refused(cli: Cli, at_rest: Path, file: Path) -> None:
    cli("backup", file)
    with closing(sqlite3.connect(file, isolation_level=None)) as connection:
        connection.execute("UPDATE alembic_version SET version_num = '9999'")

    assert "'9999'" in failed(cli("restore", file, "--force"), "revision_unknown")


@pytest.mark.parametrize(("command", "code"), [("backup", "database_missing"), ("restore", "backup_missing")])
def test_what_is_not_there_is_neither_backed_up_nor_restored(
    cli: Cli, file: Path, command: str, code: str
) -> None:
    failed(cli(command, file), code)

    assert list(file.parent.iterdir()) == []


def test_a_folder_that_is_not_there_is_a_sentence(cli: Cli, at_rest: Path, tmp_path: Path) -> None:
    said = failed(cli("backup", tmp_path / "none" / "alga.backup"), "file_unusable")

    assert "No such file or directory" in said


@pytest.mark.parametrize(("command", "program"), [("backup", "pg_dump"), ("restore", "pg_restore")])
def test_for_postgresql_the_command_is_shown_without_the_password(command: str, program: str) -> None:
    url = "postgresql+psycopg://alga:hunter2@db.example:5433/alga?password=hunter2"
    result: Any = CliRunner().invoke(main, [command, "it's.dump", "--database", url])

    said = failed(result, "use_postgresql_tools")
    assert program in said
    assert "postgresql://alga@db.example:5433/alga" in said
    assert "hunter2" not in said
    assert "'it'\"'\"'s.dump'" in said


def test_a_database_in_memory_has_no_backup(file: Path) -> None:
    assert sqlite_file("sqlite://") is None
    result = CliRunner().invoke(main, ["backup", str(file), "--database", ":memory:"])

    failed(result, "database_missing")
