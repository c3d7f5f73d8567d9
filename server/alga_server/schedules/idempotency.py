"""Creates that carried an idempotency key: the same key of the same install gives the first result for a day.

Functions run in the transaction of the create, whose caller holds the install's row: of two creates with one key the
second waits, and finds what the first left. Only what succeeded is kept; a refused create may be mended and sent again.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from datetime import datetime, timedelta
from hashlib import sha256

from sqlalchemy import ColumnElement, Connection, and_, delete, insert, select, tuple_

from ..errors import Conflict, ValidationFailed
from ..storage import tables
from .owner import ScheduleOwner
from .validation import storable

MAX_KEY = 256
KEPT = timedelta(days=1)

_BATCH = 1_000

_NOT_THE_SCHEDULE = frozenset({"operation", "idempotencyKey"})


def key_of(members: Mapping[str, object]) -> str | None:
    """The request's idempotency key. Raises ``ValidationFailed`` for one that is none."""
    key = members.get("idempotencyKey")
    if key is None:
        return None
    if not isinstance(key, str):
        raise ValidationFailed(field_errors={"idempotencyKey": "Expected string"}, schema=True)
    if not 1 <= len(key) <= MAX_KEY or not storable(key):
        raise ValidationFailed(field_errors={"idempotencyKey": "Invalid idempotencyKey"})
    return key


def earlier(
    connection: Connection, install: ScheduleOwner, key: str, members: Mapping[str, object], now: datetime
) -> str | None:
    """The schedule that ``key`` created within a day; ``None`` if there is none.

    Raises ``Conflict`` when what was asked then is not what is asked now.
    """
    row = tables.schedule_creation
    wanted = and_(_of(install), row.c.idempotency_key == key, row.c.created_at > now - KEPT)
    query = select(row.c.schedule_id, row.c.fingerprint).where(wanted)
    found = connection.execute(query).one_or_none()
    if found is None:
        return None
    if found.fingerprint != _fingerprint(members):
        raise Conflict("Idempotency key was used with another request")
    schedule_id: str = found.schedule_id
    return schedule_id


def keep(
    connection: Connection,
    install: ScheduleOwner,
    key: str,
    members: Mapping[str, object],
    *,
    schedule_id: str,
    now: datetime,
) -> None:
    """Remember what ``key`` created, and forget the install's keys that are older than a day."""
    row = tables.schedule_creation
    connection.execute(delete(row).where(_of(install), row.c.created_at <= now - KEPT))
    connection.execute(
        insert(row).values(
            tenant_id=install.tenant_id,
            install_id=install.install_id,
            idempotency_key=key,
            fingerprint=_fingerprint(members),
            schedule_id=schedule_id,
            created_at=now,
        )
    )


def any_expired(connection: Connection, now: datetime) -> bool:
    """Whether some install has keys that are older than a day."""
    row = tables.schedule_creation.c
    return (
        connection.execute(select(row.created_at).where(row.created_at <= now - KEPT).limit(1)).first()
        is not None
    )


def forget_expired(connection: Connection, now: datetime) -> int:
    """Forget keys that are older than a day, of whatever install; how many, which is a batch at most.

    An install's own creates do so as well; these are for one that makes no more.
    """
    row = tables.schedule_creation
    key = (row.c.tenant_id, row.c.install_id, row.c.idempotency_key)
    some = select(*key).where(row.c.created_at <= now - KEPT).limit(_BATCH).with_for_update(skip_locked=True)
    return connection.execute(delete(row).where(tuple_(*key).in_(some))).rowcount


def _of(install: ScheduleOwner) -> ColumnElement[bool]:
    row = tables.schedule_creation
    return and_(row.c.tenant_id == install.tenant_id, row.c.install_id == install.install_id)


def _fingerprint(members: Mapping[str, object]) -> str:
    """The same for requests that ask for the same schedule: their members' order and nulls do not matter."""
    asked = {
        name: value for name, value in members.items() if name not in _NOT_THE_SCHEDULE and value is not None
    }
    try:
        text = json.dumps(asked, sort_keys=True, separators=(",", ":"))
    except (ValueError, RecursionError):
        raise ValidationFailed(field_errors={"payload": "Payload must be JSON-serializable"}) from None
    return sha256(text.encode("ascii")).hexdigest()
