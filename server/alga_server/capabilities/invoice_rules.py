"""What a manual invoice may say, with the contract's messages, and its totals (alga-contract 4, "Invoicing")."""

from __future__ import annotations

import math
import re
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from datetime import date
from decimal import ROUND_HALF_UP, Decimal
from typing import Any

from alga_common.text import storable
from alga_common.wire import is_uuid

from ..errors import ValidationFailed
from .seed import TenantSeed

MAX_ITEMS = 100
MAX_DESCRIPTION = 500
MAX_PO_NUMBER = 128
MAX_QUANTITY = 10**6
MAX_RATE = 10**9

_DATE = re.compile(r"[0-9]{4}-[0-9]{2}-[0-9]{2}")
_APPLIES = ("appliesToItemId", "appliesToServiceId")


@dataclass(frozen=True, slots=True)
class Item:
    """One line. ``rate`` is an amount in the currency's smallest unit, for a percentage the per cent."""

    service_id: str
    quantity: float
    description: str
    rate: float
    discount_type: str | None
    applies_to_service_id: str | None


@dataclass(frozen=True, slots=True)
class Draft:
    """An invoice to make, checked."""

    client_id: str
    items: list[Item]
    invoice_date: str | None
    due_date: str | None
    po_number: str | None


@dataclass(frozen=True, slots=True)
class Totals:
    """The totals of an invoice, in the currency's smallest unit; ``amounts`` are those of its items, in order."""

    amounts: list[int]
    subtotal: int
    tax: int

    @property
    def total(self) -> int:
        """Subtotal and tax."""
        return self.subtotal + self.tax


def check(members: Mapping[str, object], seed: TenantSeed) -> Draft:
    """Return the invoice that the request's members describe. Raises ``ValidationFailed`` with every fault."""
    faults: dict[str, str] = {}
    client_id = _uuid(faults, "clientId", members.get("clientId"))
    if client_id and client_id not in {client.client_id for client in seed.clients}:
        faults["clientId"] = "Client not found"
    given = members.get("items")
    items: list[Item] = []
    if not isinstance(given, list) or not given:
        faults["items"] = "Must include at least one item"
    elif len(given) > MAX_ITEMS:
        faults["items"] = f"Too many items (max {MAX_ITEMS})"
    else:
        known = {service.service_id for service in seed.services}
        items = [_item(faults, f"items.{number}", item, known) for number, item in enumerate(given)]
        _check_targets(faults, items)
    invoice_date, due_date = (_date(faults, name, members.get(name)) for name in ("invoiceDate", "dueDate"))
    po_number = _text(faults, "poNumber", members.get("poNumber"), MAX_PO_NUMBER)
    if faults:
        raise ValidationFailed(field_errors=faults, schema=True)
    return Draft(client_id, items, invoice_date, due_date, po_number)


def totals(items: Collection[Item], tax_percent: float) -> Totals:
    """Compute the totals of the items.

    A percentage is of the service that it applies to, else of all that is no discount; a discount takes no more than
    is left.
    """
    amounts = [
        0 if item.discount_type else _rounded(_exact(item.quantity) * _whole(item.rate)) for item in items
    ]
    gross: dict[str, int] = {}
    for item, amount in zip(items, amounts, strict=True):
        gross[item.service_id] = gross.get(item.service_id, 0) + amount
    left = subtotal = sum(amounts)
    for number, item in enumerate(items):
        if not item.discount_type:
            continue
        base = subtotal if item.applies_to_service_id is None else gross.get(item.applies_to_service_id, 0)
        if item.discount_type == "percentage":
            discount = _rounded(base * _exact(item.rate) / 100)
        else:
            discount = min(base, _rounded(_exact(item.quantity) * _whole(item.rate)))
        amounts[number] = -min(discount, left)
        left += amounts[number]
    return Totals(amounts, left, _rounded(left * _exact(tax_percent) / 100))


def _item(faults: dict[str, str], place: str, value: object, services: Collection[str]) -> Item:
    item: Mapping[str, Any] = value if isinstance(value, dict) else {}
    service_id = _uuid(faults, f"{place}.serviceId", item.get("serviceId"))
    if service_id and service_id not in services:
        faults[f"{place}.serviceId"] = "Service not found"
    description = _text(faults, f"{place}.description", item.get("description"), MAX_DESCRIPTION)
    if description is None:
        faults.setdefault(f"{place}.description", "Required")
    quantity = _number(faults, f"{place}.quantity", item.get("quantity"), MAX_QUANTITY)
    if quantity is not None and quantity <= 0:
        faults[f"{place}.quantity"] = "Must be > 0"
    rate = _number(faults, f"{place}.rate", item.get("rate"), MAX_RATE)
    if rate is not None and rate < 0:
        faults[f"{place}.rate"] = "Must be >= 0"
    discount_type = _discount_type(faults, place, item)
    if discount_type == "percentage" and rate is not None and rate > 100:
        faults[f"{place}.rate"] = "Percentage discount rate must be between 0 and 100"
    applies_to = _applies_to(faults, place, item)
    return Item(service_id, quantity or 0, description or "", rate or 0, discount_type, applies_to)


def _discount_type(faults: dict[str, str], place: str, item: Mapping[str, Any]) -> str | None:
    is_discount, kind = item.get("isDiscount"), item.get("discountType")
    if is_discount is not None and not isinstance(is_discount, bool):
        faults[f"{place}.isDiscount"] = "Expected boolean"
    elif kind is not None and kind not in {"percentage", "fixed"}:
        faults[f"{place}.discountType"] = "Expected percentage or fixed"
    elif is_discount and kind is None:
        faults[f"{place}.discountType"] = "Required when isDiscount=true"
    elif kind is not None and not is_discount:
        faults[f"{place}.discountType"] = "Not allowed unless isDiscount=true"
    elif is_discount:
        return str(kind)
    return None


def _applies_to(faults: dict[str, str], place: str, item: Mapping[str, Any]) -> str | None:
    given = [name for name in _APPLIES if item.get(name) is not None]
    if not given:
        return None
    if not item.get("isDiscount"):
        faults[f"{place}.{given[0]}"] = "appliesTo* fields require isDiscount=true"
    elif len(given) > 1:
        faults[f"{place}.{given[0]}"] = "Provide only one of appliesToItemId or appliesToServiceId"
    else:
        target = _uuid(faults, f"{place}.{given[0]}", item[given[0]])
        if given[0] == "appliesToServiceId":
            return target or None
        # Items have ids once their invoice was made; no item of this one can have it.
        faults.setdefault(f"{place}.appliesToItemId", "Item not found")
    return None


def _check_targets(faults: dict[str, str], items: Collection[Item]) -> None:
    charged = {item.service_id for item in items if not item.discount_type}
    for number, item in enumerate(items):
        if item.applies_to_service_id is not None and item.applies_to_service_id not in charged:
            faults.setdefault(f"items.{number}.appliesToServiceId", "Service is not on this invoice")


def _uuid(faults: dict[str, str], place: str, value: object) -> str:
    """The id in lower case; empty for a fault."""
    if value is None:
        faults[place] = "Required"
    elif not isinstance(value, str) or not is_uuid(value.lower()):
        faults[place] = "Invalid UUID"
    else:
        return value.lower()
    return ""


def _text(faults: dict[str, str], place: str, value: object, longest: int) -> str | None:
    if value is None:
        return None
    if not isinstance(value, str) or not storable(value):
        faults[place] = "Expected string"
    elif len(value) > longest:
        faults[place] = "Too long"
    else:
        return value
    return None


def _number(faults: dict[str, str], place: str, value: object, largest: int) -> float | None:
    if value is None:
        faults[place] = "Required"
    elif isinstance(value, bool) or not isinstance(value, int | float) or not math.isfinite(value):
        faults[place] = "Expected number"
    elif value > largest:
        faults[place] = f"Must be <= {largest}"
    else:
        return value
    return None


def _date(faults: dict[str, str], place: str, value: object) -> str | None:
    if value is None:
        return None
    if isinstance(value, str) and _DATE.fullmatch(value):
        try:
            return date.fromisoformat(value).isoformat()
        except ValueError:
            pass
    faults[place] = "Invalid date (expected YYYY-MM-DD)"
    return None


def _exact(number: float) -> Decimal:
    """The number as it is written: 1.1 is eleven tenths."""
    return Decimal(str(number))


def _whole(rate: float) -> int:
    """A rate is rounded to whole units, as Alga does."""
    return _rounded(_exact(rate))


def _rounded(number: Decimal) -> int:
    return int(number.quantize(Decimal(1), ROUND_HALF_UP))
