"""Sets up, changes, shows and removes the schedules."""

from __future__ import annotations

from alga_extension import ExecuteRequest, ExecuteResponse, Handler, Host, HostError, json_of, json_response
from plan import HOURLY, PLAN, SYNC_PATH, named
from shapes import camel, problem, refusal


def setup(_request: ExecuteRequest, host: Host) -> ExecuteResponse:
    """``POST /setup``: create missing schedules. Running it again, or concurrently, changes nothing more."""
    if not any(
        (endpoint.method, endpoint.path, endpoint.schedulable) == ("POST", SYNC_PATH, True)
        for endpoint in host.scheduler.get_endpoints()
    ):
        return problem(500, f"The installed version has no schedulable POST {SYNC_PATH}.")
    before = host.scheduler.list()
    created, existing = [], []
    for planned in PLAN:
        if known := named(before, planned.name):
            existing.append({"name": planned.name, "scheduleId": known.id})
            continue
        result = host.scheduler.create(
            endpoint=planned.endpoint,
            cron=planned.cron,
            timezone=planned.timezone,
            name=planned.name,
            payload=planned.payload,
        )
        if result.success:
            host.logging.info(f"Created the schedule {planned.name}.")
            created.append({"name": planned.name, "scheduleId": result.schedule_id})
            continue
        # Another setup may have been faster: the name is taken then, and what counts is that the schedule is there.
        rival = named(host.scheduler.list(), planned.name)
        if rival is None:
            return json_response(refusal(result), 400)
        existing.append({"name": planned.name, "scheduleId": rival.id})
    return json_response({"created": created, "existing": existing})


def configure(request: ExecuteRequest, host: Host) -> ExecuteResponse:
    """``POST /configure``: set the interval of the hourly sync."""
    hours = _interval_hours(request)
    if hours is None:
        message = "Give a whole number of hours from 1 to 24."
        return json_response({"error": {"message": message, "fieldErrors": {"intervalHours": message}}}, 400)
    schedule = named(host.scheduler.list(), HOURLY)
    if schedule is None:
        return problem(404, f"There is no schedule {HOURLY} yet: run /setup first.")
    cron = {1: "0 * * * *", 24: "0 0 * * *"}.get(hours, f"0 */{hours} * * *")
    result = host.scheduler.update(schedule.id, cron=cron)
    if not result.success:
        return json_response(refusal(result), 400)
    host.logging.info(f"The schedule {HOURLY} now runs at {cron}.")
    return json_response({"scheduleId": schedule.id, "intervalHours": hours, "cron": cron})


def schedules(_request: ExecuteRequest, host: Host) -> ExecuteResponse:
    """``GET /schedules``: what there is."""
    return json_response({"schedules": camel(host.scheduler.list())})


def cleanup(_request: ExecuteRequest, host: Host) -> ExecuteResponse:
    """``POST /cleanup``: delete every schedule. One that another call deletes meanwhile is no error."""
    deleted = 0
    for schedule in host.scheduler.list():
        result = host.scheduler.delete(schedule.id)
        if result.success:
            deleted += 1
        elif host.scheduler.get(schedule.id) is not None:
            return json_response(refusal(result), 400)
    host.logging.info(f"Deleted {deleted} schedules.")
    return json_response({"deleted": deleted})


def refusals_as_responses(handler: Handler) -> Handler:
    """The handler, with the host's refusals as responses."""

    def handle(request: ExecuteRequest, host: Host) -> ExecuteResponse:
        try:
            return handler(request, host)
        except HostError as error:
            status = {"denied": 403, "quota-exceeded": 429}.get(error.code, 502)
            return json_response({"error": {"code": error.code, "message": str(error)}}, status)

    return handle


def _interval_hours(request: ExecuteRequest) -> int | None:
    """1 to 24 from the body's ``intervalHours``; ``None`` for anything else."""
    try:
        body = json_of(request)
        given = body.get("intervalHours") if isinstance(body, dict) else None
        hours = int(given) if isinstance(given, str) else given
    except ValueError:
        return None
    return hours if type(hours) is int and 1 <= hours <= 24 else None
