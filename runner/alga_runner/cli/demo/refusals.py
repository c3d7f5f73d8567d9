"""Calls that the extension must not make, how each refusal looks to it, and what a stolen token is worth."""

from __future__ import annotations

from typing import Any

from .stage import ACME, GLOBEX, INITECH, Stage


def break_rules(stage: Stage) -> None:
    """Against the server's rules: the fields at fault come back with the refusal."""
    stage.title("acme tries what the rules forbid; this is what the extension sees")
    seen = stage.attempt(ACME, operation="create", endpoint="/sync", cron="* * * * *")
    _refused(stage, seen, "validation-failed", "a schedule for every minute", field="cron")
    seen = stage.attempt(ACME, operation="create", endpoint="/nowhere", cron="0 * * * *")
    _refused(
        stage, seen, "validation-failed", "a schedule for an endpoint it does not have", field="endpoint"
    )


def cross_tenants(stage: Stage) -> None:
    """Another tenant's schedule does not exist, for every operation with its id."""
    stage.title("acme tries the id of a schedule of initech")
    before = _as_made(stage, INITECH)
    foreign = before[0]["id"]
    seen = stage.attempt(ACME, operation="get", scheduleId=foreign)
    stage.expect(seen, {"ok": None}, "What acme saw of initech's schedule")
    stage.held("get: not found")
    seen = stage.attempt(ACME, operation="update", scheduleId=foreign, enabled=False)
    _refused(stage, seen, "not-found", "update")
    seen = stage.attempt(ACME, operation="delete", scheduleId=foreign)
    _refused(stage, seen, "not-found", "delete")
    stage.expect(_as_made(stage, INITECH), before, "What initech has")
    stage.held("initech's schedules are as they were")


def lack_the_grant(stage: Stage) -> None:
    """Without the capability, the runner itself refuses."""
    stage.title("globex tries without the capability")
    seen = stage.attempt(GLOBEX, operation="list")
    _refused(stage, seen, "denied", "list")
    seen = stage.attempt(GLOBEX, operation="create", endpoint="/sync", cron="0 * * * *")
    _refused(stage, seen, "denied", "create")
    stage.expect(stage.schedules(GLOBEX), [], "What globex has")
    stage.held("globex has no schedules")


def steal_a_token(stage: Stage) -> None:
    """The runner's token alone is worth nothing: a host call carries the token of an execution under way."""
    stage.title("A stolen runner's token, and a request for acme's schedules")
    install = stage.installs[ACME]
    response = stage.send(
        "POST",
        f"{stage.pair.server_url}/api/internal/ext-scheduler/install/{install['installId']}",
        headers={
            "x-runner-auth": stage.pair.tokens.runner,
            "x-alga-tenant": ACME,
            "x-alga-extension": install["extensionId"],
            "x-ext-install-id": install["installId"],
            "x-request-id": "stolen",
        },
        json={"operation": "list"},
    )
    stage.expect(response.status_code, 401, "The status of the answer")
    refusal = response.json()
    stage.expect(refusal["code"], "EXECUTION_TOKEN_INVALID", "The code of the answer")
    stage.held(f"refused with 401: {refusal['error']}")


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


def _as_made(stage: Stage, tenant: str) -> list[dict[str, Any]]:
    """A tenant's schedules without what a run changes."""
    changing = {"lastRunAt", "lastRunStatus", "lastError", "nextRunAt"}
    return [
        {key: value for key, value in schedule.items() if key not in changing}
        for schedule in stage.schedules(tenant)
    ]
