"""What operators see of a run: one log line and the counters."""

from __future__ import annotations

import logging

from .metrics import Metrics
from .runs import Run

logger = logging.getLogger("alga_server")


def report(run: Run, metrics: Metrics) -> None:
    """Log and count a run that is over or was skipped; neither shows its payload or its handler's words."""
    metrics.schedule_run(run.status, run.trigger, run.reason, run.missed)
    logger.log(
        logging.INFO if run.status in {"success", "skipped"} else logging.WARNING,
        "Schedule run: %s",
        run.status,
        extra={
            "action": "schedule_run",
            "tenant_id": run.tenant_id,
            "install_id": run.install_id,
            "schedule_id": run.schedule_id,
            "run_id": run.id,
            "request_id": run.request_id,
            "trigger": run.trigger,
            "nominal_time": run.nominal_time,
            "attempt": run.attempt,
            "status": run.status,
            "reason": run.reason,
            "missed": run.missed,
            "http_status": run.http_status,
            "error_code": run.error_code,
            "duration_ms": run.duration_ms,
        },
    )
