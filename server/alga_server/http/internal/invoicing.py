"""Manual invoices that extensions make (alga-contract 4, "Invoicing")."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field
from sqlalchemy import Connection

from ...capabilities import invoice_rules, invoices
from ...catalog.installs import Install
from ..dependencies import Services
from ..schemas import Output
from .call import Api, Body, Operation, Reply
from .requests import Asked


class InvoiceItem(Asked):
    """One line; ``rate`` is in the currency's smallest unit, for a percentage the per cent."""

    service_id: str
    quantity: Annotated[float, Field(gt=0, le=invoice_rules.MAX_QUANTITY)]
    description: Annotated[str, Field(max_length=invoice_rules.MAX_DESCRIPTION)]
    rate: Annotated[float, Field(ge=0, le=invoice_rules.MAX_RATE)]
    is_discount: bool | None = None
    discount_type: Literal["percentage", "fixed"] | None = None
    applies_to_item_id: str | None = None
    applies_to_service_id: str | None = None


class CreateInvoice(Asked):
    """An invoice to make. ``invoice_rules`` checks it, with the contract's messages."""

    operation: Literal["createManualInvoice"]
    client_id: str
    items: Annotated[list[InvoiceItem], Field(min_length=1, max_length=invoice_rules.MAX_ITEMS)]
    invoice_date: str | None = None
    due_date: str | None = None
    po_number: Annotated[str, Field(max_length=invoice_rules.MAX_PO_NUMBER)] | None = None


class InvoiceMade(Output):
    """What an extension reads of the invoice."""

    invoice_id: str
    invoice_number: str
    status: str
    subtotal: int
    tax: int
    total: int


class InvoiceCreated(Output):
    """The invoice was made."""

    success: Literal[True]
    invoice: InvoiceMade


def _create(services: Services, connection: Connection, install: Install, body: Body) -> Reply:
    seed = services.seed.of(install.tenant_id)
    draft = invoice_rules.check(body, seed)
    invoice = invoices.create(connection, install, draft, seed, now=services.clock.now())
    made = {
        "invoiceId": invoice.id,
        "invoiceNumber": invoice.invoice_number,
        "status": invoice.status,
        "subtotal": invoice.subtotal,
        "tax": invoice.tax,
        "total": invoice.total,
    }
    return Reply({"success": True, "invoice": made}, 201)


API = Api(
    "invoicing",
    capability="cap:invoice.manual.create",
    operations={"createManualInvoice": Operation(_create, writes=True)},
    unsupported="Unsupported operation",
)
