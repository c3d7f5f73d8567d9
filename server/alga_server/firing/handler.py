"""A claimed run becomes a call of the extension's handler (alga-contract 5.9).

The payload reaches a POST handler as its JSON body, and a GET handler, which has no body, as the query parameter
``payload`` with the same JSON text. A null payload is neither.
"""

from __future__ import annotations

import json
import logging

from alga_common.routing import join_path

from ..errors import ExecutionFailed, RunnerFailure, ServerError
from ..execution.executions import Executor, Firing
from ..schedules.schedules import rfc3339
from .claims import Claim
from .recording import Ending
from .runs import OUTPUT_BYTES, Run

logger = logging.getLogger("alga_server")


async def call_handler(executor: Executor, claim: Claim) -> Ending:
    """Call the handler; how it went. A failure is an ending, not an exception."""
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
        return Ending("error", error_code=error.code, error_message=str(error))
    except Exception:
        logger.exception("Calling a schedule's handler failed", extra={"action": "dispatch_failure"})
        return Ending("error", error_code="internal_error", error_message="Internal error")
    if outcome.response is None:
        return _failed(outcome.failure or RunnerFailure(), outcome.log_tail)
    status = outcome.response.status
    if status >= 400:
        return Ending(
            "error",
            status,
            "handler_status",
            f"The handler {claim.method} {claim.path} answered {status}",
            guest_log=outcome.log_tail,
            response_body=outcome.response.body().decode("utf-8", "replace"),
        )
    return Ending("success", status)


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
