"""The tenant's clients, services and invoices, as operations exchange them (docs/capabilities.md, alga-contract 4).

The Alga server judges what it is given; here only lengths and ranges are bounded.
"""

from __future__ import annotations

from typing import Annotated

from pydantic import Field

from ._base import CamelModel
from .members import FROM_FLOAT, MAX_MEMBERS, Number, RecordId, Text

_Count = Annotated[int, Field(ge=0, le=2**32 - 1), FROM_FLOAT]
_Page = Annotated[int, Field(ge=1, le=10_000), FROM_FLOAT]
_PageSize = Annotated[int, Field(ge=1, le=100), FROM_FLOAT]
_Search = Annotated[str, Field(max_length=200)]

_TOTAL = "how many there are on all pages"


class ClientSummary(CamelModel):
    """One client of the tenant."""

    client_id: RecordId
    client_name: Text
    client_type: Text | None = Field(default=None, description="such as `company` or `individual`")
    is_inactive: bool
    default_currency_code: Text | None = Field(default=None, description="such as `EUR`")
    account_manager_id: Text | None = None
    account_manager_name: Text | None = None
    billing_email: Text | None = None


class ClientsListInput(CamelModel):
    """Which clients to list."""

    search: _Search | None = Field(default=None, description="a part of the name")
    include_inactive: bool | None = Field(default=None, description="false by default")
    page: _Page | None = Field(default=None, description="1 by default")
    page_size: _PageSize | None = Field(default=None, description="25 by default")


class ClientsListResult(CamelModel):
    """One page of clients."""

    items: Annotated[list[ClientSummary], Field(max_length=MAX_MEMBERS)]
    total_count: _Count = Field(description=_TOTAL)
    page: _Count
    page_size: _Count


class ClientRef(CamelModel):
    """Names one client."""

    client_id: RecordId = Field(description="a UUID")


class FoundClient(CamelModel):
    """What the search for a client answers."""

    client: ClientSummary | None = Field(
        default=None, description="absent where the tenant has none with that id"
    )


class ServiceSummary(CamelModel):
    """One service or product that the tenant sells."""

    service_id: RecordId
    service_name: Text
    item_kind: Text = Field(description="`service` or `product`")
    billing_method: Text = Field(description="`fixed`, `hourly` or `usage`")
    service_type_id: Text | None = None
    service_type_name: Text | None = None
    default_rate: Number = Field(description="in the currency's smallest unit")
    unit_of_measure: Text
    is_active: bool
    sku: Text | None = None


class ServicesListInput(CamelModel):
    """Which services to list."""

    search: _Search | None = Field(default=None, description="a part of the name")
    item_kind: Text | None = Field(default=None, description="`service` or `product`; both by default")
    is_active: bool | None = Field(default=None, description="both by default")
    billing_method: Text | None = Field(
        default=None, description="`fixed`, `hourly` or `usage`; all by default"
    )
    page: _Page | None = Field(default=None, description="1 by default")
    page_size: _PageSize | None = Field(default=None, description="25 by default")


class ServicesListResult(CamelModel):
    """One page of services."""

    items: Annotated[list[ServiceSummary], Field(max_length=MAX_MEMBERS)]
    total_count: _Count = Field(description=_TOTAL)
    page: _Count
    page_size: _Count


class ServiceRef(CamelModel):
    """Names one service."""

    service_id: RecordId = Field(description="a UUID")


class FoundService(CamelModel):
    """What the search for a service answers."""

    service: ServiceSummary | None = Field(
        default=None, description="absent where the tenant has none with that id"
    )


class ManualInvoiceItemInput(CamelModel):
    """One line of an invoice."""

    service_id: RecordId = Field(description="a UUID")
    quantity: Number = Field(description="more than 0")
    description: Text = Field(description="up to 500 characters")
    rate: Number = Field(
        description="0 or more, in the currency's smallest unit; of a discount, up to 100 for percentages"
    )
    is_discount: bool | None = Field(default=None, description="false by default")
    discount_type: Text | None = Field(
        default=None, description="`percentage` or `fixed`; of discounts alone"
    )
    applies_to_item_id: Text | None = Field(default=None, description="of discounts alone")
    applies_to_service_id: Text | None = Field(
        default=None, description="of discounts alone, and not with `appliesToItemId`"
    )


class CreateManualInvoiceInput(CamelModel):
    """An invoice to create."""

    client_id: RecordId = Field(description="a UUID")
    items: Annotated[list[ManualInvoiceItemInput], Field(max_length=MAX_MEMBERS)] = Field(
        description="one at least"
    )
    invoice_date: Text | None = Field(default=None, description="such as `2026-03-29`")
    due_date: Text | None = Field(default=None, description="likewise")
    po_number: Text | None = Field(default=None, description="up to 128 characters")


class CreatedInvoice(CamelModel):
    """What a successful create answers."""

    invoice_id: RecordId
    invoice_number: Text
    status: Text = Field(description="such as `draft`")
    subtotal: Number = Field(description="in the currency's smallest unit, as the other amounts")
    tax: Number
    total: Number
