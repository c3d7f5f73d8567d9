"""Creates that carried an idempotency key: the same key of the same install gives the first result for a day.

Functions run in the transaction of the create, whose caller holds the install's row: of two creates with one key the
second waits, and reads the record of the first. Only a create that succeeded has one; a refused create may be corrected
and sent again.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from hashlib import sha256
from typing import Self

from sqlalchemy import Connection, and_, bindparam, delete, insert, select, tuple_

from alga_common.text import storable

from ..errors import Conflict, ValidationFailed
from ..storage import tables
from ..storage.owned import of_install, place
from .owner import ScheduleOwner

MAX_KEY = 256
KEPT = timedelta(days=1)

_BATCH = 1_000

_TABLE = tables.schedule_creation
_OF_KEY = and_(of_install(_TABLE), _TABLE.c.idempotency_key == bindparam("key"))
_SAME_KEY = select(_TABLE.c.fingerprint, _TABLE.c.schedule_id, _TABLE.c.created_at).where(_OF_KEY)
_FORGET = delete(_TABLE).where(_OF_KEY)
_SAVE = insert(_TABLE)

_NOT_THE_SCHEDULE = frozenset({"operation", "idempotencyKey"})


@dataclass(frozen=True, slots=True)
class IdempotencyRecord:
    """A create's idempotency key, and the fingerprint of its request: computed once, where the request arrives."""

    key: str
    fingerprint: str

    @classmethod
    def of_request(cls, members: Mapping[str, object]) -> Self | None:
        """Return the request's record, ``None`` if it has no key. Raises ``ValidationFailed`` for an invalid key."""
        key = members.get("idempotencyKey")
        if key is None:
            return None
        if not isinstance(key, str):
            raise ValidationFailed(field_errors={"idempotencyKey": "Expected string"}, schema=True)
        if not 1 <= len(key) <= MAX_KEY or not storable(key):
            raise ValidationFailed(field_errors={"idempotencyKey": "Invalid idempotencyKey"})
        return cls(key, _fingerprint(members))

    def created(self, connection: Connection, install: ScheduleOwner, now: datetime) -> str | None:
        """Return the id of the schedule that the key created within a day, or ``None``; forget an older one.

        Raises ``Conflict`` when the key came with another request then.
        """
        this = place(install.tenant_id, install.install_id) | {"key": self.key}
        row = connection.execute(_SAME_KEY, this).one_or_none()
        if row is None:
            return None
        if row.created_at <= now - KEPT:
            connection.execute(_FORGET, this)
            return None
        if row.fingerprint != self.fingerprint:
            raise Conflict("Idempotency key was used with another request")
        return str(row.schedule_id)

    def save(self, connection: Connection, install: ScheduleOwner, schedule_id: str, now: datetime) -> None:
        """Store the schedule that the key created."""
        row = {
            "tenant_id": install.tenant_id,
            "install_id": install.install_id,
            "idempotency_key": self.key,
            "fingerprint": self.fingerprint,
            "schedule_id": schedule_id,
            "created_at": now,
        }
        connection.execute(_SAVE, row)


def any_expired(connection: Connection, now: datetime) -> bool:
    """Return whether some install has records that are older than a day."""
    row = _TABLE.c
    return (
        connection.execute(select(row.created_at).where(row.created_at <= now - KEPT).limit(1)).first()
        is not None
    )


def forget_expired(connection: Connection, now: datetime) -> int:
    """Delete records that are older than a day, of all installs, a batch at most; return how many."""
    row = _TABLE
    key = (row.c.tenant_id, row.c.install_id, row.c.idempotency_key)
    some = select(*key).where(row.c.created_at <= now - KEPT).limit(_BATCH).with_for_update(skip_locked=True)
    return connection.execute(delete(row).where(tuple_(*key).in_(some))).rowcount


def _fingerprint(members: Mapping[str, object]) -> str:
    """Return the same text for requests for the same schedule: their members' order and nulls do not matter."""
    asked = {
        name: value for name, value in members.items() if name not in _NOT_THE_SCHEDULE and value is not None
    }
    try:
        text = json.dumps(asked, sort_keys=True, separators=(",", ":"))
    except (ValueError, RecursionError):
        raise ValidationFailed(field_errors={"payload": "Payload must be JSON-serializable"}) from None
    return sha256(text.encode("ascii")).hexdigest()
