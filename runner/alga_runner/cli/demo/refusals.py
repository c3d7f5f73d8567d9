"""What the extension must not do, and how each refusal looks to it."""

from __future__ import annotations

from typing import Any

from .stage import Stage


async def break_rules(stage: Stage) -> None:
    """Against the server's rules: the fields at fault come back with the refusal."""
    stage.title("acme tries what the rules forbid; this is what the extension sees")
    seen = await stage.attempt(stage.acme, operation="create", endpoint="/sync", cron="* * * * *")
    _refused(stage, seen, "validation-failed", "a schedule for every minute", field="cron")
    seen = await stage.attempt(stage.acme, operation="create", endpoint="/nowhere", cron="0 * * * *")
    _refused(
        stage, seen, "validation-failed", "a schedule for an endpoint it does not have", field="endpoint"
    )


async def cross_tenants(stage: Stage) -> None:
    """Another tenant's schedule does not exist, whatever is done with its id."""
    stage.title("acme tries the id of a schedule of initech")
    before = await stage.initech.schedules()
    foreign = before[0]["id"]
    seen = await stage.attempt(stage.acme, operation="get", scheduleId=foreign)
    stage.expect(seen, {"ok": None}, "What acme saw of initech's schedule")
    stage.held("get: there is none")
    seen = await stage.attempt(stage.acme, operation="update", scheduleId=foreign, enabled=False)
    _refused(stage, seen, "not-found", "update")
    seen = await stage.attempt(stage.acme, operation="delete", scheduleId=foreign)
    _refused(stage, seen, "not-found", "delete")
    stage.expect(await stage.initech.schedules(), before, "What initech has")
    stage.held("initech's schedules are as they were")


async def lack_the_grant(stage: Stage) -> None:
    """Without the capability, the runner itself refuses."""
    stage.title("globex tries without the capability")
    seen = await stage.attempt(stage.globex, operation="list")
    _refused(stage, seen, "denied", "list")
    seen = await stage.attempt(stage.globex, operation="create", endpoint="/sync", cron="0 * * * *")
    _refused(stage, seen, "denied", "create")
    stage.expect(await stage.globex.schedules(), [], "What globex has")
    stage.held("globex has no schedules")


def _refused(stage: Stage, seen: dict[str, Any], code: str, what: str, *, field: str | None = None) -> None:
    error = seen.get("error") or {}
    stage.expect(error.get("code"), code, f"The code for {what}")
    message = error.get("message")
    if field is not None:
        fields = error.get("fieldErrors") or {}
        stage.expect(sorted(fields), [field], f"The field errors for {what}")
        message = f"{field}: {fields[field]}"
    if not message:
        stage.expect(message, "a sentence", f"The message for {what}")
    stage.held(f"{what}: {code} ({message})")
