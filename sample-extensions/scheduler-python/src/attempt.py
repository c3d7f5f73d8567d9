"""One host call, as the body names it."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from alga_extension import (
    ExecuteRequest,
    ExecuteResponse,
    Host,
    HostError,
    WriteResult,
    json_of,
    json_response,
)
from shapes import camel, refusal


def attempt(request: ExecuteRequest, host: Host) -> ExecuteResponse:
    """``POST /try``, for demonstrations: performs the one host call that the body names.

    ``{"operation": "create", "endpoint": "/sync", "cron": "* * * * *"}`` -> ``{"error": {"message", "fieldErrors"}}``
    or ``{"ok": ...}``, both with status 200: the demonstration went well even if the call was refused.
    """
    body = json_of(request)
    members: dict[str, Any] = body if isinstance(body, dict) else {}
    operation, schedule_id = members.pop("operation", None), members.pop("scheduleId", "")
    scheduler = host.scheduler
    calls: dict[object, Callable[[], object]] = {
        "list": scheduler.list,
        "get": lambda: scheduler.get(schedule_id),
        "create": lambda: scheduler.create(**members),
        "update": lambda: scheduler.update(schedule_id, **members),
        "delete": lambda: scheduler.delete(schedule_id),
        "get-endpoints": scheduler.get_endpoints,
    }
    if operation not in calls:
        return json_response(
            {"error": {"message": f"operation is one of {', '.join(map(str, calls))}."}}, 400
        )
    try:
        answer = calls[operation]()
    except HostError as error:
        return json_response({"error": {"code": error.code, "message": str(error)}})
    if not isinstance(answer, WriteResult):
        return json_response({"ok": camel(answer)})
    if not answer.success:
        return json_response(refusal(answer))
    return json_response({"ok": {"scheduleId": answer.schedule_id} if answer.schedule_id else {}})
