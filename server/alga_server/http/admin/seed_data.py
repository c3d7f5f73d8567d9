"""Data that extensions read, added while a development server runs; it goes with the process."""

from __future__ import annotations

from typing import Any

from fastapi import Depends, Response

from ...errors import ValidationFailed
from ..dependencies import ServicesDep
from ..params import UNKNOWN_ID, TenantId
from ..schemas import refused
from .maintenance import check_local
from .router import admin_router

router = admin_router()
"""Included only where the clock may be moved; answers only callers on this machine."""

router.dependencies.append(Depends(check_local))


@router.patch("/tenants/{tenant_id}/seed-data", status_code=204, responses=refused(400, 403, 413))
async def add(services: ServicesDep, tenant_id: TenantId, body: dict[str, Any]) -> Response:
    """Add clients, services, routes, users or a tax to what the tenant has."""
    if tenant_id == UNKNOWN_ID:
        raise ValidationFailed("No tenant can have that id")
    try:
        services.seed.add(tenant_id, body)
    except ValueError as fault:
        raise ValidationFailed(str(fault)) from None
    return Response(status_code=204)
