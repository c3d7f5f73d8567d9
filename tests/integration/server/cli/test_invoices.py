"""``alga-server invoices``."""

from __future__ import annotations

from typing import Any

import httpx

from tests.support.server_cli import Run, done, refused

INVOICE = {
    "invoiceNumber": "INV-000007",
    "invoiceDate": "2026-01-01",
    "clientName": "Globex",
    "subtotal": 27000,
    "tax": 5130,
    "total": 32130,
    "currency": "EUR",
}


def answering(invoices: list[Any]) -> httpx.MockTransport:
    def answer(request: httpx.Request) -> httpx.Response:
        assert request.url.path == "/api/admin/tenants/acme/invoices"
        assert request.url.params["limit"] == "20"
        return httpx.Response(200, json={"invoices": invoices, "cursor": None})

    return httpx.MockTransport(answer)


def test_invoices_are_listed_with_their_totals(alga: Run) -> None:
    shown = done(
        alga("invoices", "--tenant", "acme", transport=answering([INVOICE, {**INVOICE, "currency": None}]))
    )

    assert shown.splitlines()[1].split() == [
        *("INV-000007", "2026-01-01", "Globex", "27000", "5130", "32130", "EUR")
    ]
    assert shown.splitlines()[2].endswith("32130")


def test_a_tenant_without_invoices_is_named(alga: Run) -> None:
    assert done(alga("invoices", "--tenant", "acme")) == "Extensions of tenant acme have made no invoices.\n"


def test_without_a_token_nothing_is_asked(alga: Run, monkeypatch: Any) -> None:
    monkeypatch.delenv("ALGA_SERVER_ADMIN_TOKEN")

    refused(alga("invoices", "--tenant", "acme"), "token_missing")
