"""Invoices that a tenant's extensions made."""

from __future__ import annotations

from typing import Annotated, Any

from fastapi import Query

from ...capabilities import invoices
from ...capabilities.invoices import Page
from ..dependencies import ServicesDep
from ..params import TenantId
from ..schemas import Instant, Output, refused
from .router import admin_router

router = admin_router()


class InvoiceShown(Output):
    """An invoice; amounts are in the currency's smallest unit, each item's among them, negative for a discount."""

    id: str
    tenant_id: str
    install_id: str
    invoice_number: str
    status: str
    client_id: str
    client_name: str
    currency: str | None
    invoice_date: str
    due_date: str | None
    po_number: str | None
    subtotal: int
    tax: int
    total: int
    items: list[dict[str, Any]]
    created_at: Instant


class InvoicesListed(Output):
    """Invoices, newest first; ``cursor`` continues."""

    invoices: list[InvoiceShown]
    cursor: int | None


@router.get("/tenants/{tenant_id}/invoices", response_model=InvoicesListed, responses=refused(400))
async def of_tenant(
    services: ServicesDep,
    tenant_id: TenantId,
    limit: Annotated[int, Query(ge=1, le=200)] = 50,
    cursor: Annotated[int | None, Query(ge=1, le=2**31 - 1)] = None,
) -> Page:
    """List a tenant's invoices."""
    return await services.database.read(
        lambda connection: invoices.page(connection, tenant_id, limit=limit, cursor=cursor)
    )
