"""PostgreSQL as the storage: what keeps it from being opened, what errors give away, what it keeps exactly."""

from __future__ import annotations

import logging
from datetime import UTC, datetime
from typing import Any

import psycopg
import pytest
from sqlalchemy import Connection, insert, make_url, text
from sqlalchemy.exc import IntegrityError

from alga_runner.errors import SettingsError
from alga_server import ServerSettings
from alga_server.errors import DatabaseBusy, DatabaseFull, DatabaseUnavailable
from alga_server.storage import tables
from alga_server.storage.database import Database
from tests.support.server import Install

pytestmark = [pytest.mark.anyio, pytest.mark.postgres]

PASSWORD = "hunter2-and-more"


def changed(url: str, **parts: Any) -> str:
    return make_url(url).set(**parts).render_as_string(hide_password=False)


@pytest.mark.parametrize("change", [{"database": "nowhere"}, {"query": {"host": "/nowhere"}}])
async def test_a_database_that_is_not_there_is_a_settings_error_with_a_hint(
    database_url: str, change: dict[str, Any]
) -> None:
    database = Database(changed(database_url, password=PASSWORD, **change))

    with pytest.raises(
        SettingsError, match=r"database_url \(ALGA_SERVER_DATABASE_URL\) names is not usable"
    ) as refusal:
        await database.start()
    await database.aclose()

    assert "Check that PostgreSQL runs there" in str(refusal.value.hint)
    assert PASSWORD not in f"{refusal.value} {refusal.value.hint} {refusal.value.sentence()}"
    assert refusal.value.__cause__ is None


async def test_a_database_of_another_encoding_is_refused(database_url: str) -> None:
    options = "ENCODING 'SQL_ASCII' TEMPLATE template0 LOCALE_PROVIDER libc LOCALE 'C'"
    with psycopg.connect(changed(database_url, drivername="postgresql"), autocommit=True) as connection:
        connection.execute(f"CREATE DATABASE ascii_only {options}")
    database = Database(changed(database_url, database="ascii_only"))

    try:
        with pytest.raises(SettingsError, match="has the encoding SQL_ASCII; it must be UTF8"):
            await database.start()
    finally:
        await database.aclose()
        with psycopg.connect(changed(database_url, drivername="postgresql"), autocommit=True) as connection:
            connection.execute("DROP DATABASE ascii_only WITH (FORCE)")


async def test_a_database_of_another_program_is_left_alone(empty_database_url: str) -> None:
    with psycopg.connect(empty_database_url, autocommit=True) as connection:
        connection.execute("CREATE TABLE tenant_extension_install (id uuid)")
    database = Database(empty_database_url)

    with pytest.raises(SettingsError, match="has a table tenant_extension_install that this server did not"):
        await database.start()
    await database.aclose()

    with psycopg.connect(empty_database_url, autocommit=True) as connection:
        assert connection.execute(
            "SELECT count(*) FROM pg_tables WHERE schemaname = 'public'"
        ).fetchone() == (1,)


async def test_a_statement_that_fails_does_not_quote_the_row(database_url: str) -> None:
    database = Database(database_url)

    def half(connection: Connection) -> None:
        row = {"name": "confidential", "generation": 1, "secret": b"x"}
        connection.execute(insert(tables.server_secret).values(row))

    with pytest.raises(IntegrityError) as refusal:
        await database.write(half)
    await database.aclose()

    assert "violates not-null constraint" in str(refusal.value)
    assert "confidential" not in f"{refusal.value} {refusal.value.orig} {refusal.value.__cause__!r}"


async def test_a_read_cannot_write(database_url: str) -> None:
    database = Database(database_url)
    row = {"content_hash": "sha256:1", "archive": b"x", "created_at": datetime.now(UTC)}

    try:
        with pytest.raises(DatabaseUnavailable) as refused:
            await database.read(lambda connection: connection.execute(insert(tables.bundle).values(row)))
    finally:
        await database.aclose()

    assert "read-only transaction" in f"{refused.value.__cause__!r} {refused.value.__context__!r}"


async def test_a_read_sees_one_state_to_its_end(database_url: str) -> None:
    database, other = Database(database_url), Database(database_url)
    await other.start()
    row = {"content_hash": "sha256:1", "archive": b"x", "created_at": datetime.now(UTC)}
    count = text("SELECT count(*) FROM extension_bundle")

    def look(connection: Connection) -> tuple[int, int]:
        before = connection.execute(count).scalar_one()
        with other._backend.writer.begin() as elsewhere:
            elsewhere.execute(insert(tables.bundle).values(row))
        return before, connection.execute(count).scalar_one()

    assert await database.read(look) == (0, 0)
    assert await database.read(lambda connection: connection.execute(count).scalar_one()) == 1
    await database.aclose()
    await other.aclose()


async def test_a_connection_that_the_server_closed_is_not_missed(database_url: str) -> None:
    database = Database(database_url)
    await database.start()
    with psycopg.connect(database_url, autocommit=True) as connection:
        connection.execute(
            "SELECT pg_terminate_backend(pid) FROM pg_stat_activity"
            " WHERE datname = current_database() AND pid <> pg_backend_pid()"
        )

    assert await database.read(lambda c: c.execute(text("SELECT 1")).scalar_one()) == 1
    await database.aclose()


async def test_a_transaction_that_was_ended_for_anothers_sake_is_run_again(
    database_url: str, caplog: pytest.LogCaptureFixture
) -> None:
    database = Database(database_url)
    await database.start()
    tries: list[int] = []

    def unlucky(connection: Connection) -> str:
        tries.append(1)
        if len(tries) == 1:
            connection.execute(text("DO $$ BEGIN RAISE serialization_failure; END $$"))
        return "done"

    with caplog.at_level(logging.INFO, logger="alga_server"):
        assert await database.write(unlucky) == "done"
    await database.aclose()

    assert len(tries) == 2
    assert [record.action for record in caplog.records if hasattr(record, "action")] == [
        "transaction_repeated"
    ]


async def test_bad_luck_ends(database_url: str) -> None:
    database = Database(database_url)
    tries: list[int] = []

    def unlucky(connection: Connection) -> None:
        tries.append(1)
        connection.execute(text("DO $$ BEGIN RAISE serialization_failure; END $$"))

    with pytest.raises(DatabaseBusy):
        await database.write(unlucky)
    await database.aclose()

    assert len(tries) == 5


async def test_the_server_says_who_it_is_to_the_database(database_url: str) -> None:
    database = Database(database_url)

    names = await database.read(lambda c: c.execute(text("SHOW application_name")).scalar_one())
    await database.aclose()

    assert names == "alga-server"


@pytest.mark.parametrize(
    "payload",
    [
        [],
        {},
        {"text": "a\0b"},
        {"b": 1, "a": [2**53 - 1, -0.0, 1e308, 0.1]},
        {"": None, "emoji": "\U0001f600"},
        [[[[[[[[]]]]]]]],
    ],
)
async def test_a_payload_comes_back_exactly(install: Install, payload: Any) -> None:
    schedule_id = await install.create(payload=payload)

    schedule = await install.get(schedule_id)

    assert repr(schedule["payload"]) == repr(payload)


async def test_a_name_that_cannot_be_stored_is_nobodys(install: Install) -> None:
    answer = await install.alga.admin("GET", "/api/admin/extensions", params={"name": "a\0b"})

    assert (answer.status_code, answer.json()) == (200, {"extensions": []})


def test_a_password_is_not_in_the_settings_text() -> None:
    settings = ServerSettings(database_url=f"postgresql://alga:{PASSWORD}@host/alga")

    assert PASSWORD not in repr(settings)


def read_only(url: str) -> str:
    """A database that takes no changes, as a standby."""
    return changed(url, query={**make_url(url).query, "options": "-c default_transaction_read_only=on"})


async def test_a_database_that_takes_no_changes_is_unavailable_for_writes_and_the_log_says_it_once(
    database_url: str, caplog: pytest.LogCaptureFixture
) -> None:
    database = Database(read_only(database_url))
    database._tables_made = True  # it became a standby while the server ran

    for _ in range(2):
        with pytest.raises(DatabaseUnavailable):
            await database.write(lambda c: c.execute(tables.extension.delete()))
    assert await database.read(lambda c: c.execute(text("SELECT 1")).scalar_one()) == 1
    await database.aclose()

    assert [record.action for record in caplog.records if hasattr(record, "action")] == [
        "database_unavailable"
    ]
    assert "read-only transaction" in caplog.text


async def test_a_disk_that_is_full_is_told_from_other_outages(database_url: str) -> None:
    database = Database(database_url)
    raised = text("DO $$ BEGIN RAISE EXCEPTION 'could not extend file' USING ERRCODE = '53100'; END $$")

    with pytest.raises(DatabaseFull):
        await database.write(lambda c: c.execute(raised))
    await database.aclose()


async def test_a_server_that_starts_on_a_standby_names_the_primary(empty_database_url: str) -> None:
    database = Database(read_only(empty_database_url))

    with pytest.raises(SettingsError, match="in a read-only transaction") as refusal:
        await database.start()
    await database.aclose()

    assert "name the primary" in str(refusal.value.hint)
