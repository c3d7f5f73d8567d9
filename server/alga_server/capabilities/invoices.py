"""Invoices that extensions made, so that a developer can look at them. Each tenant's newest are kept.

Functions take a connection and run in its transaction. Every query names the tenant.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from datetime import datetime
from typing import Any
from uuid import uuid4

from sqlalchemy import Connection, Row, delete, func, insert, select

from ..storage import locks, tables
from . import invoice_rules
from .invoice_rules import Draft
from .records import RecordOwner
from .seed import TenantSeed

KEPT = 1_000
"""Of one tenant."""

STATUS = "draft"


@dataclass(frozen=True, slots=True)
class Invoice:
    """One invoice; amounts are in the currency's smallest unit."""

    id: str
    tenant_id: str
    install_id: str
    number: int
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
    created_at: datetime

    @property
    def invoice_number(self) -> str:
        """The number, as it is shown."""
        return f"INV-{self.number:06}"

    @property
    def status(self) -> str:
        """Its status; there is one."""
        return STATUS


@dataclass(frozen=True, slots=True)
class Page:
    """Invoices, newest first; the next page has those before number ``cursor``, if there is one."""

    invoices: list[Invoice]
    cursor: int | None


def create(
    connection: Connection, owner: RecordOwner, draft: Draft, seed: TenantSeed, *, now: datetime
) -> Invoice:
    """Make the invoice, with the tenant's next number; the oldest beyond ``KEPT`` go."""
    [client] = [client for client in seed.clients if client.client_id == draft.client_id]
    totals = invoice_rules.totals(draft.items, seed.tax_percent)
    items = [
        {
            "serviceId": item.service_id,
            "description": item.description,
            "quantity": item.quantity,
            "rate": item.rate,
            "discountType": item.discount_type,
            "appliesToServiceId": item.applies_to_service_id,
            "amount": amount,
        }
        for item, amount in zip(draft.items, totals.amounts, strict=True)
    ]
    table = tables.invoice
    locks.number_invoices(connection, owner.tenant_id)
    own = table.c.tenant_id == owner.tenant_id
    last = connection.execute(select(func.coalesce(func.max(table.c.number), 0)).where(own)).scalar_one()
    invoice = Invoice(
        id=str(uuid4()),
        tenant_id=owner.tenant_id,
        install_id=owner.install_id,
        number=last + 1,
        client_id=client.client_id,
        client_name=client.client_name,
        currency=client.default_currency_code,
        invoice_date=draft.invoice_date or now.date().isoformat(),
        due_date=draft.due_date,
        po_number=draft.po_number,
        subtotal=totals.subtotal,
        tax=totals.tax,
        total=totals.total,
        items=items,
        created_at=now,
    )
    row = {column.name: getattr(invoice, column.name) for column in table.c} | {"items": json.dumps(items)}
    connection.execute(insert(table).values(row))
    connection.execute(delete(table).where(own, table.c.number <= invoice.number - KEPT))
    return invoice


def page(connection: Connection, tenant_id: str, *, limit: int, cursor: int | None = None) -> Page:
    """The tenant's invoices before number ``cursor``, newest first."""
    table = tables.invoice
    query = select(table).where(table.c.tenant_id == tenant_id)
    if cursor is not None:
        query = query.where(table.c.number < cursor)
    rows = connection.execute(query.order_by(table.c.number.desc()).limit(limit + 1)).all()
    invoices = [_invoice(row) for row in rows[:limit]]
    return Page(invoices, invoices[-1].number if len(rows) > limit else None)


def _invoice(row: Row[Any]) -> Invoice:
    return Invoice(**{**row._asdict(), "items": json.loads(row.items)})
