"""``/readyz``: what the server needs to do its work, checked for real. ``alga-server doctor`` makes the same checks."""

from __future__ import annotations

import logging
from datetime import datetime, timedelta

from sqlalchemy import Connection, func, select
from sqlalchemy.exc import DBAPIError, SQLAlchemyError

from alga_common.http.peer import clock_finding
from alga_common.readiness import NOT_CHECKED, NOT_CONFIGURED, OK, REFUSED, Check, Checks, Finding
from alga_runner.errors import SettingsError

from ..catalog.bundle_sync import BundleCopies
from ..clock import Clock
from ..errors import BundleStoreUnavailable
from ..execution.runner_client import RUNNER_CHECK, RunnerClient
from ..settings import ServerSettings
from ..storage import migrations
from ..storage.database import Database

logger = logging.getLogger("alga_server")

DATABASE_CHECK = "database"
STORE_CHECK = "bundle_store"

_MIGRATE = (
    "Start this version, which migrates an older one, or run `alga-server migrate`; "
    "one that a newer server migrated needs that server."
)


def checks_of(
    clock: Clock,
    database: Database,
    bundles: BundleCopies,
    runner: RunnerClient,
    *,
    clock_moves: bool,
) -> Checks:
    """Return the checks of a server. With ``clock_moves`` its clock is compared with no other."""

    async def check_database() -> list[Finding]:
        return await _database(database, None if clock_moves else clock)

    async def check_store() -> list[Finding]:
        return await _store(bundles)

    async def check_runner() -> list[Finding]:
        return await runner.check(None if clock_moves else clock.now)

    return Checks(
        [
            Check(DATABASE_CHECK, "The database", check_database),
            Check(STORE_CHECK, "The bundle store", check_store),
            Check(RUNNER_CHECK, "The runner", check_runner, of_peer=True),
        ],
        clock=clock.monotonic,
    )


def log_failure(finding: Finding) -> None:
    """Log a check that failed at the start: an error for a wrong token, else a warning, as others may start later."""
    logger.log(
        logging.ERROR if finding.code == REFUSED else logging.WARNING,
        "Readiness check failed: %s",
        " ".join(filter(None, [finding.sentence, finding.detail, finding.hint])),
        extra={"action": "check_failed", "status": finding.code},
    )


async def _database(database: Database, clock: Clock | None) -> list[Finding]:
    try:
        revision, head = await database.revision(), migrations.head()
        if revision is None:
            sentence = "The database is empty; the server makes its tables when it starts."
            return [Finding(DATABASE_CHECK, NOT_CHECKED, sentence)]
        if revision != head:
            sentence = f"The database is at revision {revision}, and this version's is {head}."
            return [Finding(DATABASE_CHECK, "other_revision", sentence, _MIGRATE)]
        await database.try_write()
        findings = [Finding(DATABASE_CHECK, OK, "The database can be read and written.")]
        if clock is not None and (difference := await _database_skew(database, clock)) is not None:
            findings.append(clock_finding("database_clock", "the database", difference))
    except (SQLAlchemyError, SettingsError) as error:
        detail = str(error.orig) if isinstance(error, DBAPIError) else str(error)
        hint = "Check the setting database_url, the database's log, its disk and its permissions."
        return [Finding(DATABASE_CHECK, "unusable", "The database cannot be used.", hint, detail)]
    return findings


async def _store(bundles: BundleCopies) -> list[Finding]:
    if not bundles.stored:
        sentence = (
            "No bundle store is configured: bundles stay in the database, where no runner fetches them."
        )
        return [Finding(STORE_CHECK, NOT_CONFIGURED, sentence, "Set ALGA_SERVER_BUNDLE_STORE.")]
    try:
        await bundles.check()
    except BundleStoreUnavailable as error:
        hint = (
            "ALGA_SERVER_BUNDLE_STORE must name a folder that this user can write, on a disk with free space."
        )
        return [Finding(STORE_CHECK, "unusable", f"{error}.", hint)]
    return [Finding(STORE_CHECK, OK, "The bundle store can be read and written.")]


async def _database_skew(database: Database, clock: Clock) -> timedelta | None:
    """Return how far the database's clock is ahead; ``None`` for SQLite, which has the clock of this machine."""

    def now(connection: Connection) -> datetime | None:
        if connection.dialect.name != "postgresql":
            return None
        instant: datetime = connection.execute(select(func.clock_timestamp())).scalar_one()
        return instant

    instant = await database.read(now)
    return None if instant is None else instant - clock.now()


def token_findings(settings: ServerSettings) -> list[Finding]:
    """Return which of the tokens that callers send are set. Without one its surface is closed, which may be wanted."""
    surfaces = {
        "admin_token": (settings.admin_token, "every admin call"),
        "gateway_token": (settings.gateway_token, "every call of the gateway"),
        "runner_token": (settings.runner_token, "every host call"),
    }
    return [
        Finding(name, OK, f"The {name.replace('_', ' ')} is set.")
        if settings.usable_token(token)
        else Finding(
            name,
            NOT_CONFIGURED,
            f"The {name.replace('_', ' ')} is not set: {refused} is refused.",
            f"Set ALGA_SERVER_{name.upper()}; example configurations' tokens do not count.",
        )
        for name, (token, refused) in surfaces.items()
    ]
