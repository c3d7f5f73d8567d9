"""A claimed run becomes a call of the extension's handler (alga-contract 5.9).

The payload reaches a POST handler as its JSON body, and a GET handler, which has no body, as the query parameter
``payload`` with the same JSON text. A null payload is neither.
"""

from __future__ import annotations

import json
import logging

import anyio

from alga_common.routing import join_path

from ..errors import ExecutionFailed, RunnerBusy, RunnerFailure, ServerError
from ..execution.executions import Executor, Firing
from ..schedules.schedules import rfc3339
from .claims import Claim
from .recording import Ending
from .runs import OUTPUT_BYTES, Run

logger = logging.getLogger("alga_server")


ROOM_WITHIN_S = 300.0
"""How long a run waits for a runner that has no room, which is no fault of the handler's; then that is its ending."""


async def call_handler(executor: Executor, claim: Claim) -> Ending:
    """Call the handler; how it went. A failure is an ending, not an exception.

    While the runner has no room, nothing was carried out: the call is made again when the runner asks for it.
    """
    left_s = ROOM_WITHIN_S
    while True:
        ending, busy = await _call_once(executor, claim)
        if busy is None or left_s <= 0:
            return ending
        wait_s = min(busy.retry_after_s or 1.0, left_s)
        left_s -= wait_s
        await pause(wait_s)


async def pause(seconds: float) -> None:
    """Wait for room, by the machine's time: it is the runner's room."""
    await anyio.sleep(seconds)


async def _call_once(executor: Executor, claim: Claim) -> tuple[Ending, RunnerBusy | None]:
    """Call the handler once; how it went, and whether that was for lack of room."""
    run = claim.run
    text = None if claim.payload is None else json.dumps(claim.payload, separators=(",", ":"))
    in_body = text is not None and claim.method != "GET"
    try:
        outcome = await executor.execute(
            claim.install,
            claim.method,
            # As the gateway sends it.
            join_path(claim.path.removeprefix("/").split("/")),
            query={"payload": text} if text is not None and not in_body else None,
            headers={"content-type": "application/json"} if in_body else None,
            body=text.encode() if text is not None and in_body else None,
            request_id=run.request_id,
            idempotency_key=idempotency_key(run),
            firing=Firing(
                trigger=run.trigger,
                schedule_id=run.schedule_id,
                schedule_name=claim.name,
                schedule_timezone=claim.timezone,
                nominal_time=rfc3339(run.due_at) or "",
                started_at=rfc3339(run.started_at) or "",
                attempt=run.attempt,
            ),
            log_bytes=OUTPUT_BYTES,
        )
    except ServerError as error:  # the database's, in which the key of the execution's token is
        return Ending("error", error_code=error.code, error_message=str(error)), None
    except Exception:
        logger.exception("Calling a schedule's handler failed", extra={"action": "dispatch_failure"})
        return Ending("error", error_code="internal_error", error_message="Internal error"), None
    if outcome.response is None:
        busy = outcome.failure if isinstance(outcome.failure, RunnerBusy) else None
        return _failed(outcome.failure or RunnerFailure(), outcome.log_tail), busy
    status = outcome.response.status
    if status >= 400:
        ending = Ending(
            "error",
            status,
            "handler_status",
            f"The handler {claim.method} {claim.path} answered {status}",
            guest_log=outcome.log_tail,
            response_body=outcome.response.body().decode("utf-8", "replace"),
        )
        return ending, None
    return Ending("success", status), None


def idempotency_key(run: Run) -> str:
    """The same for every attempt of one nominal time, and for nothing else.

    An admin's runs of one instant are not attempts of one another.
    """
    key = f"{run.schedule_id}:{run.trigger}:{run.nominal_time}"
    return key if run.trigger == "schedule" else f"{key}:{run.attempt}"


def _failed(failure: RunnerFailure, guest_log: str | None) -> Ending:
    if isinstance(failure, ExecutionFailed):
        return Ending("error", failure.status, failure.runner_code, str(failure), guest_log=guest_log)
    return Ending("error", None, failure.code, str(failure))
