"""The scheduled job."""

from __future__ import annotations

import json

from alga_extension import ExecuteRequest, ExecuteResponse, Host, header_of, json_of, json_response
from shapes import problem


def sync(request: ExecuteRequest, host: Host) -> ExecuteResponse:
    """``POST /sync``: the scheduled job. It logs why it runs and with which payload."""
    try:
        payload = json_of(request)
    except ValueError:
        return problem(400, "The body is not JSON.")
    trigger = header_of(request, "x-alga-trigger")
    schedule_id = header_of(request, "x-alga-schedule-id")
    nominal_time = header_of(request, "x-alga-nominal-time")
    host.logging.info(
        f"Sync: trigger {trigger or 'request'}, schedule {schedule_id or 'none'}, "
        f"nominal time {nominal_time or 'none'}, payload {json.dumps(payload, separators=(',', ':'))}."
    )
    full = isinstance(payload, dict) and payload.get("full") is True
    return json_response(
        {
            "synced": "everything" if full else "changes",
            "trigger": trigger,
            "scheduleId": schedule_id,
            "nominalTime": nominal_time,
        }
    )
