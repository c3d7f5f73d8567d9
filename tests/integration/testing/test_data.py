"""What a test gives extensions to read, and what it sees of what they store and make."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from alga_runner.errors import AdminRefused
from alga_runner.testing import Alga, Extension
from tests.support.bundles import make_bundle, manifest_api
from tests.support.host_calls import relayed, relaying_guest

OPERATIONS = (
    *("storage.get", "storage.put", "clients.list", "ui-proxy.call-route"),
    "invoicing.create-manual-invoice",
)
GRANTS = ["cap:storage.kv", "cap:client.read", "cap:ui.proxy", "cap:invoice.manual.create"]
CLIENT, SERVICE = "0d5c1f6e-2b1f-4f0e-9a53-0a2b7f1f3c11", "6a1f0c3e-6f0a-4a51-8c8e-54b3c1c7d9aa"
CLIENTS = [{"clientId": CLIENT, "clientName": "Globex", "defaultCurrencyCode": "EUR"}]
SERVICES = [{"serviceId": SERVICE, "serviceName": "Support"}]

HostCall = Callable[..., Any]


@pytest.fixture
def ext(alga: Alga) -> Extension:
    return install(alga)


def install(alga: Alga, tenant: str = "acme") -> Extension:
    bundle = make_bundle(relaying_guest(*OPERATIONS), api=manifest_api("POST /go"), capabilities=GRANTS)
    return alga.install(bundle, tenant=tenant, grant=GRANTS)


def ask(ext: Extension, operation: str, **request: Any) -> Any:
    """What the guest reads of a host call."""
    response = ext.call("POST", "/go", body=relayed(OPERATIONS.index(operation), request))
    [call] = response.host_calls
    return call.reply


def test_a_test_sees_what_a_guest_stored_and_a_guest_what_a_test_did(alga: Alga, ext: Extension) -> None:
    ask(ext, "storage.put", namespace="settings", key="theme", value=b"\x00dark")
    alga.storage.put("settings", "visits", b"3")
    alga.storage.put("settings", "json", {"a": [1, None]})

    assert alga.storage.all("settings") == {"theme": b"\x00dark", "visits": b"3", "json": {"a": [1, None]}}
    stored = ask(ext, "storage.get", namespace="settings", key="visits")["ok"]["entry"]
    assert (stored["value"], stored["revision"]) == (b"3", 1)


def test_a_record_is_gone_once_the_clock_has_passed_its_time(alga: Alga, ext: Extension) -> None:
    alga.storage.put("cache", "token", b"t", ttl_seconds=3600)

    alga.clock.advance(minutes=59)
    assert alga.storage.get("cache", "token") == b"t"
    alga.clock.advance(minutes=1)

    assert alga.storage.get("cache", "token") is None
    assert ask(ext, "storage.get", namespace="cache", key="token") == {"ok": {}}


def test_a_deleted_record_is_gone_and_another_one_is_refused(alga: Alga, ext: Extension) -> None:
    alga.storage.put("notes", "a", b"1")

    alga.storage.delete("notes", "a")

    assert alga.storage.all("notes") == {}
    with pytest.raises(AdminRefused, match="Record not found"):
        alga.storage.delete("notes", "a")


def test_all_records_are_read_however_many_pages_they_are(alga: Alga, ext: Extension) -> None:
    values = {f"{number:02}": bytes([number]) * 45_000 for number in range(20)}
    for key, value in values.items():
        alga.storage.put("many", key, value)

    assert alga.storage.all("many") == values


def test_each_of_several_extensions_has_a_storage_of_its_own(alga: Alga, ext: Extension) -> None:
    other = install(alga, "globex")
    other.storage.put("notes", "a", b"theirs")

    assert ext.storage.get("notes", "a") is None
    with pytest.raises(ValueError, match="2 extensions are installed"):
        _ = alga.storage


def test_a_guest_reads_what_a_test_seeds_for_its_tenant(alga: Alga, ext: Extension) -> None:
    other = install(alga, "globex")
    alga.seed(clients=CLIENTS)
    alga.seed(clients=[{"clientId": SERVICE, "clientName": "Hooli"}])

    items = ask(ext, "clients.list")["ok"]["items"]

    assert [client["clientName"] for client in items] == ["Globex", "Hooli"]
    assert ask(other, "clients.list")["ok"]["items"] == []


def test_a_fault_in_what_a_test_seeds_names_the_member(alga: Alga) -> None:
    with pytest.raises(AdminRefused, match=r"clients\.0\.clientName: Field required"):
        alga.seed(clients=[{"clientId": CLIENT}])


def test_a_guest_calls_routes_that_a_test_seeds(alga: Alga, ext: Extension) -> None:
    alga.seed(
        ui_routes=[
            {"route": "/tickets", "answer": [{"id": 7}]},
            {"route": "/api/v1/tickets", "method": "POST", "status": 201, "answer": {"id": 8}},
            {"route": "/locked", "status": 403},
        ]
    )

    assert ask(ext, "ui-proxy.call-route", route="/tickets?open=1") == {"ok": {"body": b'[{"id":7}]'}}
    assert ask(ext, "ui-proxy.call-route", route="api/v1/tickets", payload=b"{}") == {
        "ok": {"body": b'{"id":8}'}
    }
    assert ask(ext, "ui-proxy.call-route", route="/locked")["err"]["code"] == "denied"
    assert ask(ext, "ui-proxy.call-route", route="/nowhere")["err"]["code"] == "not-found"


def test_a_test_sees_the_invoices_that_a_guest_made(alga: Alga, ext: Extension) -> None:
    alga.seed(clients=CLIENTS, services=SERVICES, tax_percent=19)
    item = {"serviceId": SERVICE, "quantity": 1.5, "description": "Support", "rate": 100}

    reply = ask(ext, "invoicing.create-manual-invoice", clientId=CLIENT, items=[item])

    [invoice] = alga.invoices()
    assert reply["ok"]["invoiceId"] == invoice.id
    assert (invoice.invoice_number, invoice.client_name, invoice.currency) == ("INV-000001", "Globex", "EUR")
    assert (invoice.subtotal, invoice.tax, invoice.total) == (150, 29, 179)
    assert [line["amount"] for line in invoice.items] == [150]


def test_an_invoice_that_breaks_a_rule_reaches_the_guest_with_each_field(alga: Alga, ext: Extension) -> None:
    alga.seed(clients=CLIENTS, services=SERVICES)
    item = {"serviceId": CLIENT, "quantity": 1, "description": "Support", "rate": 100}

    error = ask(ext, "invoicing.create-manual-invoice", clientId=CLIENT, items=[item])["err"]

    assert (error["code"], error["fieldErrors"]) == (
        "validation-failed",
        {"items.0.serviceId": "Service not found"},
    )
    assert alga.invoices() == []
