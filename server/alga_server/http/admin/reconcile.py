"""Reconciling over HTTP: what is wrong with schedules' jobs, of every tenant, and healing it."""

from __future__ import annotations

from typing import Any

from fastapi import APIRouter

from ...firing.reconcile.reconciler import Reconciliation
from ..answers import Reconciled
from ..dependencies import Services
from ..openapi import described
from ..responses import Answer


def add_reconciliation(router: APIRouter, services: Services) -> None:
    """``GET`` only looks, ``POST`` heals: ``/api/admin/reconciliation``."""

    @router.get("/reconciliation", **described(Reconciled))
    async def look() -> Answer:
        return Answer(_answer(await services.reconciler.look()))

    @router.post("/reconciliation", **described(Reconciled))
    async def heal() -> Answer:
        return Answer(_answer(await services.reconciler.reconcile()))


def _answer(found: Reconciliation) -> dict[str, Any]:
    return {
        "examined": found.examined,
        "discrepancies": [
            {
                "discrepancy": each.kind,
                "healed": each.healed,
                "tenantId": each.tenant_id,
                "installId": each.install_id,
                "scheduleId": each.schedule_id,
                "runId": each.run_id,
            }
            for each in found.discrepancies
        ],
    }
