"""Manual invoices that extensions make, and admins look at (alga-contract 4, "Invoicing")."""

from __future__ import annotations

from typing import Any

import anyio
import httpx
import pytest

from alga_server.capabilities import invoices
from tests.support.server import Alga, Install

from .conftest import TENANTS

pytestmark = [pytest.mark.anyio, pytest.mark.postgres]

CLIENT = "11111111-1111-4111-8111-111111111111"
SERVICE = "22222222-2222-4222-8222-222222222222"
ITEM = {"serviceId": SERVICE, "quantity": 2, "description": "Support", "rate": 15000}


async def installed(alga: Alga, tenant: str, name: str = "com.example.bills") -> Install:
    grants = ("cap:invoice.manual.create",)
    return await alga.install(tenant, name=name, capabilities=list(grants), grants=grants)


@pytest.fixture
async def install(alga: Alga) -> Install:
    install = await installed(alga, next(TENANTS))
    clients = [{"clientId": CLIENT, "clientName": "Globex", "defaultCurrencyCode": "EUR"}]
    services = [{"serviceId": SERVICE, "serviceName": "Support"}]
    alga.server.seed.add(install.tenant, {"clients": clients, "services": services, "taxPercent": 19})
    return install


async def bill(install: Install, *items: dict[str, Any], **members: Any) -> httpx.Response:
    body = {"clientId": CLIENT, "items": list(items) or [ITEM], **members}
    return await install.host_call("invoicing", "createManualInvoice", **body)


async def listed(install: Install, **query: Any) -> dict[str, Any]:
    path = f"/api/admin/tenants/{install.tenant}/invoices"
    response = await install.alga.admin("GET", path, params=query)
    assert response.status_code == 200, response.text
    page: dict[str, Any] = response.json()
    return page


async def test_an_invoice_is_made_and_answered_with_its_totals(install: Install) -> None:
    discount = {**ITEM, "rate": 10, "isDiscount": True, "discountType": "percentage"}

    response = await bill(install, ITEM, discount)

    assert response.status_code == 201
    invoice = response.json()["invoice"]
    assert response.json()["success"] is True
    assert invoice.pop("invoiceId")
    assert invoice == {
        "invoiceNumber": "INV-000001",
        "status": "draft",
        "subtotal": 27000,
        "tax": 5130,
        "total": 32130,
    }


async def test_an_admin_sees_what_was_made_newest_first(install: Install) -> None:
    for number in range(3):
        made = await bill(install, dueDate="2026-03-01", poNumber=f"PO-{number}")

    newest, rest = await listed(install, limit=1), await listed(install, cursor=3)

    [invoice] = newest["invoices"]
    assert invoice["id"] == made.json()["invoice"]["invoiceId"]
    assert (invoice["invoiceNumber"], invoice["poNumber"], invoice["currency"]) == (
        "INV-000003",
        "PO-2",
        "EUR",
    )
    assert (invoice["clientName"], invoice["dueDate"], invoice["total"]) == ("Globex", "2026-03-01", 35700)
    assert invoice["invoiceDate"] == invoice["createdAt"][:10]
    assert [item["amount"] for item in invoice["items"]] == [30000]
    assert newest["cursor"] == 3
    assert [item["poNumber"] for item in rest["invoices"]] == ["PO-1", "PO-0"]
    assert rest["cursor"] is None


async def test_a_refusal_has_the_message_of_each_field_and_makes_nothing(install: Install) -> None:
    response = await bill(install, {**ITEM, "quantity": 0}, clientId="globex")

    assert response.status_code == 400
    answer = response.json()
    assert (answer["success"], answer["error"]) == (False, "Validation error")
    assert answer["fieldErrors"] == {"clientId": "Invalid UUID", "items.0.quantity": "Must be > 0"}
    assert (await listed(install))["invoices"] == []


async def test_another_operation_is_unsupported(install: Install) -> None:
    response = await install.host_call("invoicing", "createInvoice")

    assert (response.status_code, response.json()["error"]) == (400, "Unsupported operation")


async def test_concurrent_invoices_of_one_tenant_have_different_numbers(alga: Alga, install: Install) -> None:
    other = await installed(alga, install.tenant, "com.example.bills2")
    numbers: list[str] = []

    async def make(which: Install) -> None:
        numbers.append((await bill(which)).json()["invoice"]["invoiceNumber"])

    async with anyio.create_task_group() as tasks:
        for which in [install, other] * 5:
            tasks.start_soon(make, which)

    assert sorted(numbers) == [f"INV-{number:06}" for number in range(1, 11)]


async def test_tenants_have_numbers_and_lists_of_their_own(alga: Alga, install: Install) -> None:
    theirs = await installed(alga, next(TENANTS))
    alga.server.seed.add(
        theirs.tenant, alga.server.seed.of(install.tenant).model_dump(by_alias=True, exclude_unset=True)
    )
    await bill(install)

    assert (await bill(theirs)).json()["invoice"]["invoiceNumber"] == "INV-000001"
    assert len((await listed(theirs))["invoices"]) == 1


async def test_the_newest_invoices_are_kept_and_numbers_go_on(
    install: Install, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(invoices, "KEPT", 2)
    for _ in range(4):
        await bill(install)

    numbers = [invoice["invoiceNumber"] for invoice in (await listed(install))["invoices"]]

    assert numbers == ["INV-000004", "INV-000003"]


async def test_invoices_outlive_the_install_that_made_them(install: Install) -> None:
    await bill(install)

    await install.alga.admin("DELETE", install.admin_path)

    assert len((await listed(install))["invoices"]) == 1
