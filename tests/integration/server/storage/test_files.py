"""A database's file: exactly the one that was named, and its owner's alone."""

from __future__ import annotations

import os
import sqlite3
import stat
from pathlib import Path

import pytest
from sqlalchemy import delete

from alga_runner.errors import SettingsError
from alga_server.storage import migrations
from alga_server.storage.database import Database
from alga_server.storage.sqlite import sqlite_file, sqlite_url
from alga_server.storage.tables import bundle

pytestmark = pytest.mark.anyio


async def opened(url: str) -> None:
    database = Database(url)
    await database.start()
    await database.aclose()


def modes(folder: Path) -> dict[str, int]:
    return {file.name: stat.S_IMODE(file.stat().st_mode) for file in folder.iterdir()}


@pytest.mark.parametrize(
    "name", ["job%2Fbranch", "100%", "a?mode=ro", "a#b", "two  words", "file:a", ":memory:", "a\udcff", "+"]
)
async def test_a_file_of_any_name_is_opened_and_no_other(tmp_path: Path, name: str) -> None:
    await opened(sqlite_url(tmp_path / name))

    assert list(modes(tmp_path)) == [name]
    assert (tmp_path / name).read_bytes().startswith(b"SQLite format 3")


@pytest.mark.parametrize(
    ("url", "said"),
    [
        ("sqlite:///", "names no file"),
        ("sqlite:///a.db?mode=ro", "is %3F"),
        ("sqlite:///file:a.db?uri=true", "is %3F"),
        ("sqlite://srv/a.db", "has a host"),
        ("sqlite:///a%00.db", "null character"),
    ],
)
async def test_a_url_with_more_than_a_path_is_refused(url: str, said: str) -> None:
    with pytest.raises(SettingsError, match=said):
        Database(url)


async def test_an_error_names_the_file_in_full(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)

    with pytest.raises(SettingsError) as refusal:
        await opened("sqlite:///no%20folder/alga.db")

    assert f"The database {tmp_path}/no folder/alga.db " in str(refusal.value)


def test_a_relative_url_is_read_from_the_present_folder(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)

    assert sqlite_file("sqlite:///a.db") == tmp_path / "a.db"
    assert sqlite_file("sqlite:////srv/a.db") == Path("/srv/a.db")


@pytest.mark.parametrize("umask", [0o000, 0o022, 0o777])
async def test_a_new_database_is_its_owners_alone(tmp_path: Path, umask: int) -> None:
    database = Database(sqlite_url(tmp_path / "alga.db"))
    old = os.umask(umask)
    try:
        await database.write(lambda connection: connection.execute(delete(bundle)))
        while_open = modes(tmp_path)
    finally:
        os.umask(old)
        await database.aclose()

    assert while_open == {"alga.db": 0o600, "alga.db-wal": 0o600, "alga.db-shm": 0o600}


async def test_a_looser_one_is_left_and_pointed_out_once(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    file = tmp_path / "alga.db"
    await opened(sqlite_url(file))
    file.chmod(0o644)
    caplog.clear()

    database = Database(sqlite_url(file))
    await database.start()
    await database.start()
    await database.aclose()

    said = [
        record.message for record in caplog.records if getattr(record, "action", "") == "open_to_everyone"
    ]
    assert [
        f"can open {name} (mode 0644)" in line
        for line, name in zip(said, (file, f"{file}-wal"), strict=False)
    ]
    assert len(said) == 3
    assert stat.S_IMODE(file.stat().st_mode) == 0o644


@pytest.mark.parametrize("name", ["100%", "%(here)s", "a:b c"])
def test_migrations_are_found_in_a_folder_of_any_name(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    folder = tmp_path / name
    folder.symlink_to(migrations.SCRIPTS)
    monkeypatch.setattr(migrations, "SCRIPTS", folder)
    migrations._script.cache_clear()
    try:
        assert migrations.head()
    finally:
        migrations._script.cache_clear()


async def test_a_write_begins_a_millisecond_after_another_process_ended_its_own(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """However long that took: SQLite's own wait grows to a tenth of a second."""
    database = Database(sqlite_url(tmp_path / "alga.db"))
    await database.start()
    other = sqlite3.connect(tmp_path / "alga.db", isolation_level=None, check_same_thread=False)
    other.execute("BEGIN IMMEDIATE")
    slept: list[float] = []

    def sleep(seconds: float) -> None:
        slept.append(seconds)
        if len(slept) == 50:
            other.execute("ROLLBACK")

    monkeypatch.setattr("alga_server.storage.sqlite.sleep", sleep)
    await database.try_write()

    assert slept == [0.001] * 50
    other.close()
    await database.aclose()
