"""The OpenAPI document: the routes and models it has, and the secrets it lacks."""

from __future__ import annotations

from typing import Any

import pytest
from fastapi.routing import APIRoute

from alga_server.http.admin import extensions, installs, invoices, maintenance, runs, schedules
from alga_server.http.internal import registry
from alga_server.http.internal import routes as internal
from tests.support.server import Alga, Install

pytestmark = pytest.mark.anyio


async def fetch(alga: Alga) -> dict[str, Any]:
    response = await alga.client.get("/openapi.json")
    assert response.status_code == 200
    document: dict[str, Any] = response.json()
    return document


async def test_every_route_of_runners_and_admins_is_in_the_document(alga: Alga) -> None:
    document = await fetch(alga)

    served = {
        (route.path, method.lower())
        for module in (internal, registry, extensions, installs, schedules, runs, invoices, maintenance)
        for route in module.router.routes
        if isinstance(route, APIRoute)
        for method in route.methods
    }
    described = {(path, method) for path, methods in document["paths"].items() for method in methods}
    assert len(served) > 20
    assert served <= described


async def test_the_gateway_is_not_in_the_document(alga: Alga) -> None:
    assert not [path for path in (await fetch(alga))["paths"] if path.startswith("/api/ext/")]


async def test_each_operation_names_its_refusals_and_no_422(alga: Alga) -> None:
    for path, methods in (await fetch(alga))["paths"].items():
        for operation in methods.values():
            statuses = set(operation["responses"])
            assert "422" not in statuses
            assert path in {"/healthz", "/readyz"} or "401" in statuses
            assert "requestBody" not in operation or {"400", "413"} <= statuses


async def test_every_reference_leads_somewhere(alga: Alga) -> None:
    document = await fetch(alga)
    references: list[str] = []

    def look(value: Any) -> None:
        for member in value.values() if isinstance(value, dict) else value:
            if isinstance(member, dict | list):
                look(member)
        if isinstance(value, dict) and isinstance(value.get("$ref"), str):
            references.append(value["$ref"])

    look(document)

    assert references
    assert {name.removeprefix("#/components/schemas/") for name in references} <= set(
        document["components"]["schemas"]
    )


async def test_the_document_shows_no_token_and_no_tenant(alga: Alga, install: Install) -> None:
    text = (await alga.client.get("/openapi.json")).text

    for secret in ("-token-of-the-test", install.tenant, install.id, install.extension):
        assert secret not in text
