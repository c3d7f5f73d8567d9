"""What a manual invoice may say, and its totals (alga-contract 4, "Invoicing")."""

from __future__ import annotations

from typing import Any

import pytest

from alga_server.capabilities import invoice_rules
from alga_server.capabilities.invoice_rules import Item, totals
from alga_server.capabilities.seed import SeedData, TenantSeed
from alga_server.errors import ValidationFailed

CLIENT = "11111111-1111-4111-8111-111111111111"
SUPPORT = "22222222-2222-4222-8222-222222222222"
LICENCE = "33333333-3333-4333-8333-333333333333"
UNKNOWN = "44444444-4444-4444-8444-444444444444"


@pytest.fixture
def seed() -> TenantSeed:
    data = SeedData()
    services = [{"serviceId": SUPPORT, "serviceName": "S"}, {"serviceId": LICENCE, "serviceName": "L"}]
    data.add("acme", {"clients": [{"clientId": CLIENT, "clientName": "Globex"}], "services": services})
    return data.of("acme")


def item(**members: Any) -> dict[str, Any]:
    return {"serviceId": SUPPORT, "quantity": 1, "description": "Help", "rate": 100, **members}


def invoice(*items: Any, **members: Any) -> dict[str, Any]:
    return {"clientId": CLIENT, "items": list(items) or [item()], **members}


def faults(seed: TenantSeed, members: dict[str, Any]) -> dict[str, str]:
    with pytest.raises(ValidationFailed) as refused:
        invoice_rules.check(members, seed)
    assert str(refused.value) == "Validation error"
    return refused.value.field_errors


def test_an_invoice_that_keeps_the_rules_is_taken(seed: TenantSeed) -> None:
    discount = item(isDiscount=True, discountType="percentage", rate=100, appliesToServiceId=SUPPORT)

    draft = invoice_rules.check(
        invoice(
            item(serviceId=SUPPORT.upper(), quantity=0.5, description="d" * 500, rate=0, isDiscount=False),
            discount,
            invoiceDate="2026-02-28",
            dueDate=None,
            poNumber="p" * 128,
        ),
        seed,
    )

    assert draft.items[0] == Item(SUPPORT, 0.5, "d" * 500, 0, None, None)
    assert (draft.invoice_date, draft.due_date, draft.po_number) == ("2026-02-28", None, "p" * 128)


MESSAGES: list[tuple[dict[str, Any], str, str]] = [
    ({"clientId": None}, "clientId", "Required"),
    ({"clientId": "globex"}, "clientId", "Invalid UUID"),
    ({"clientId": 5}, "clientId", "Invalid UUID"),
    ({"clientId": UNKNOWN}, "clientId", "Client not found"),
    ({"items": []}, "items", "Must include at least one item"),
    ({"items": None}, "items", "Must include at least one item"),
    ({"items": [item()] * 101}, "items", "Too many items (max 100)"),
    ({"invoiceDate": "28.02.2026"}, "invoiceDate", "Invalid date (expected YYYY-MM-DD)"),
    ({"invoiceDate": "2026-02-30"}, "invoiceDate", "Invalid date (expected YYYY-MM-DD)"),
    ({"dueDate": "2026-2-1"}, "dueDate", "Invalid date (expected YYYY-MM-DD)"),
    ({"dueDate": 20260201}, "dueDate", "Invalid date (expected YYYY-MM-DD)"),
    ({"poNumber": "p" * 129}, "poNumber", "Too long"),
]

ITEM_MESSAGES: list[tuple[dict[str, Any], str, str]] = [
    ({"serviceId": None}, "serviceId", "Required"),
    ({"serviceId": "support"}, "serviceId", "Invalid UUID"),
    ({"serviceId": UNKNOWN}, "serviceId", "Service not found"),
    ({"description": "d" * 501}, "description", "Too long"),
    ({"description": None}, "description", "Required"),
    ({"description": "\0"}, "description", "Expected string"),
    ({"quantity": 0}, "quantity", "Must be > 0"),
    ({"quantity": None}, "quantity", "Required"),
    ({"quantity": True}, "quantity", "Expected number"),
    ({"quantity": float("inf")}, "quantity", "Expected number"),
    ({"quantity": 10**7}, "quantity", "Must be <= 1000000"),
    ({"rate": -0.01}, "rate", "Must be >= 0"),
    ({"isDiscount": True}, "discountType", "Required when isDiscount=true"),
    ({"discountType": "fixed"}, "discountType", "Not allowed unless isDiscount=true"),
    ({"isDiscount": True, "discountType": "half"}, "discountType", "Expected percentage or fixed"),
    (
        {"isDiscount": True, "discountType": "percentage", "rate": 100.5},
        "rate",
        "Percentage discount rate must be between 0 and 100",
    ),
    (
        {"appliesToServiceId": SUPPORT},
        "appliesToServiceId",
        "appliesTo* fields require isDiscount=true",
    ),
    (
        {
            "isDiscount": True,
            "discountType": "fixed",
            "appliesToServiceId": SUPPORT,
            "appliesToItemId": UNKNOWN,
        },
        "appliesToItemId",
        "Provide only one of appliesToItemId or appliesToServiceId",
    ),
    (
        {"isDiscount": True, "discountType": "fixed", "appliesToItemId": UNKNOWN},
        "appliesToItemId",
        "Item not found",
    ),
    (
        {"isDiscount": True, "discountType": "fixed", "appliesToServiceId": LICENCE},
        "appliesToServiceId",
        "Service is not on this invoice",
    ),
]


def test_each_rule_of_an_invoice_has_the_contract_s_message(seed: TenantSeed) -> None:
    for members, field, message in MESSAGES:
        assert faults(seed, invoice() | members) == {field: message}, members


def test_each_rule_of_an_item_has_the_contract_s_message(seed: TenantSeed) -> None:
    for members, field, message in ITEM_MESSAGES:
        assert faults(seed, invoice(item(), item(**members))) == {f"items.1.{field}": message}, members


def test_every_fault_is_named_and_an_item_that_is_none_lacks_everything(seed: TenantSeed) -> None:
    assert faults(seed, {"clientId": 1, "items": ["x"], "dueDate": ""}) == {
        "clientId": "Invalid UUID",
        "items.0.serviceId": "Required",
        "items.0.description": "Required",
        "items.0.quantity": "Required",
        "items.0.rate": "Required",
        "dueDate": "Invalid date (expected YYYY-MM-DD)",
    }


def line(quantity: float, rate: float, discount: str | None = None, of: str | None = None) -> Item:
    return Item(
        LICENCE if of is None and discount is None and rate == 7 else SUPPORT,
        quantity,
        "",
        rate,
        discount,
        of,
    )


@pytest.mark.parametrize(
    ("items", "tax_percent", "amounts", "subtotal", "tax"),
    [
        ([line(2, 100)], 0, [200], 200, 0),
        ([line(1, 99.5)], 0, [100], 100, 0),
        ([line(0.285, 100)], 0, [29], 29, 0),
        ([line(1.1, 150)], 19, [165], 165, 31),
        ([line(2, 100), line(1, 12.5, "percentage")], 0, [200, -25], 175, 0),
        ([line(1, 50, "percentage"), line(2, 100)], 10, [-100, 200], 100, 10),
        ([line(2, 100), line(3, 7), line(1, 50, "percentage", SUPPORT)], 0, [200, 21, -100], 121, 0),
        ([line(2, 100), line(3, 20, "fixed")], 0, [200, -60], 140, 0),
        ([line(1, 100), line(3, 7), line(1, 999, "fixed", SUPPORT)], 0, [100, 21, -100], 21, 0),
        ([line(1, 100), line(1, 80, "percentage"), line(1, 80, "percentage")], 19, [100, -80, -20], 0, 0),
        ([line(1, 500, "fixed")], 19, [0], 0, 0),
    ],
)
def test_totals_are_exact_and_a_discount_takes_no_more_than_is_left(
    items: list[Item], tax_percent: float, amounts: list[int], subtotal: int, tax: int
) -> None:
    result = totals(items, tax_percent)

    assert (result.amounts, result.subtotal, result.tax) == (amounts, subtotal, tax)
    assert result.total == sum(amounts) + tax
