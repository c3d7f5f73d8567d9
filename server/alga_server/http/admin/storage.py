"""What an install's extension stores: an admin asks as the extension does, and needs no grant."""

from __future__ import annotations

from typing import Any

from sqlalchemy import Connection

from ...catalog import installs
from ...errors import ValidationFailed
from ..dependencies import ServicesDep
from ..internal import storage
from ..internal.call import Reply, Unread
from ..openapi import json_body
from ..params import Id, TenantId
from ..responses import Answer
from ..schemas import Done, refused
from .router import INSTALL, admin_router

router = admin_router()


@router.post(
    INSTALL + "/storage",
    response_model=storage.RecordFound
    | storage.RecordWritten
    | storage.RecordsListed
    | storage.BulkWritten
    | Done,
    responses=refused(400, 404, 409, 413, 429),
    openapi_extra={"requestBody": json_body(*storage.REQUESTS)},
)
async def ask(services: ServicesDep, tenant_id: TenantId, install_id: Id, body: dict[str, Any]) -> Answer:
    """Carry out the operation that the body names."""
    operation = storage.API.operations.get(str(body.get("operation")))
    if operation is None:
        raise ValidationFailed(field_errors={"operation": "Unsupported operation"}, schema=True)

    def transaction(connection: Connection) -> Reply:
        install = installs.require(connection, tenant_id, install_id, lock=operation.writes)
        reply = operation.run(services, connection, install, body)
        return reply.read() if isinstance(reply, Unread) else reply

    database = services.database
    reply = await (database.write if operation.writes else database.read)(transaction)
    return Answer(reply.body, status_code=reply.status)
