"""The six operations of extensions on schedules, the same in both dialects (alga-contract 5).

Each runs in one transaction. One that writes locks the install's row and counts against its rate; if it is refused, the
transaction is rolled back and nothing is counted.
"""

from __future__ import annotations

from sqlalchemy import Connection

from ...catalog.installs import Install
from ...errors import ValidationFailed
from ...schedules import pages, rate_limit, schedules
from ...schedules.idempotency import IdempotencyRecord
from ..dependencies import Services
from ..params import UNKNOWN_ID, parse_uuid
from .call import Api, Body, Operation, Page, Reply, Unread

_TRIGGER = "host_api"
_CURSOR_DIGITS = 9


def _list(services: Services, connection: Connection, install: Install, body: Body) -> Unread:
    page = pages.page(connection, install, after=_cursor(body))
    cursor = None if page.cursor is None else str(page.cursor)

    def read() -> Page:
        return Page(",".join(page.read(connection, install)).encode(), member="schedules", cursor=cursor)

    return Unread(page.characters, read)


def _cursor(body: Body) -> int:
    """Return the ordinal after which a page starts."""
    value = body.get("cursor")
    if value is None:
        return 0
    if isinstance(value, str) and len(value) <= _CURSOR_DIGITS and value.isascii() and value.isdecimal():
        return int(value)
    raise ValidationFailed(field_errors={"cursor": "Invalid cursor"}, schema=True)


def _get(services: Services, connection: Connection, install: Install, body: Body) -> Reply:
    schedule = schedules.get(connection, install, _schedule_id(body))
    return Reply({"schedule": schedule.info.model_dump(by_alias=True) if schedule else None})


def _create(services: Services, connection: Connection, install: Install, body: Body) -> Reply:
    now = services.clock.now()
    record = IdempotencyRecord.of_request(body)
    schedule_id = None if record is None else record.created(connection, install, now)
    if schedule_id is not None:
        return Reply({"success": True, "scheduleId": schedule_id}, 201)
    created = schedules.create(connection, install, body, trigger=_TRIGGER, limits=services.limits, now=now)
    rate_limit.take(connection, install, services.rate, now)
    if record is not None:
        record.save(connection, install, created.id, now)
    return Reply(
        {"success": True, "scheduleId": created.id},
        201,
        committed=lambda services: services.dispatcher.expect(created.next_run_at),
    )


def _update(services: Services, connection: Connection, install: Install, body: Body) -> Reply:
    now = services.clock.now()
    schedules.change(connection, install, _schedule_id(body), body, limits=services.limits, now=now)
    rate_limit.take(connection, install, services.rate, now)
    return Reply({"success": True}, committed=_wake)


def _delete(services: Services, connection: Connection, install: Install, body: Body) -> Reply:
    now = services.clock.now()
    schedules.remove(connection, install, _schedule_id(body))
    rate_limit.take(connection, install, services.rate, now)
    return Reply({"success": True}, committed=_wake)


def _wake(services: Services) -> None:
    services.dispatcher.wake()


def _endpoints(services: Services, connection: Connection, install: Install, body: Body) -> Reply:
    return Reply(services.routes.of(connection, install.version_id).answer)


def _schedule_id(body: Body) -> str:
    value = body.get("scheduleId")
    if not isinstance(value, str) or not value.strip():
        raise ValidationFailed(field_errors={"scheduleId": "Missing scheduleId"}, schema=True)
    schedule_id = parse_uuid(value)
    if schedule_id == UNKNOWN_ID:
        raise ValidationFailed(field_errors={"scheduleId": "Invalid scheduleId"}, schema=True)
    return schedule_id


OPERATIONS = {
    "list": Operation(_list, writes=False),
    "get": Operation(_get, writes=False),
    "create": Operation(_create, writes=True),
    "update": Operation(_update, writes=True),
    "delete": Operation(_delete, writes=True),
    "getEndpoints": Operation(_endpoints, writes=False),
}
"""Every operation by its name."""

API = Api(
    "scheduler",
    capability="cap:scheduler.manage",
    operations=OPERATIONS,
)
