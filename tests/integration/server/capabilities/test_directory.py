"""Clients and services that a developer supplies, as extensions read them (alga-contract 4, "Clients/Services")."""

from __future__ import annotations

from typing import Any

import httpx
import pytest

from tests.support.server import Alga, Install
from tests.support.storage import refusal

from .conftest import TENANTS

pytestmark = pytest.mark.anyio

GRANTS = ("cap:client.read", "cap:service.read")


def client(number: int, **members: Any) -> dict[str, Any]:
    return {
        "clientId": f"11111111-1111-4111-8111-{number:012}",
        "clientName": f"Client {number:02}",
        "clientType": "company",
        "isInactive": False,
        "defaultCurrencyCode": "EUR",
        "accountManagerId": None,
        "accountManagerName": None,
        "billingEmail": f"billing{number}@example.test",
        **members,
    }


def service(number: int, **members: Any) -> dict[str, Any]:
    return {
        "serviceId": f"22222222-2222-4222-8222-{number:012}",
        "serviceName": f"Service {number:02}",
        "itemKind": "service",
        "billingMethod": "hourly",
        "serviceTypeId": None,
        "serviceTypeName": "Support",
        "defaultRate": 150.5,
        "unitOfMeasure": "hour",
        "isActive": True,
        "sku": f"SKU-{number}",
        **members,
    }


@pytest.fixture
async def install(alga: Alga) -> Install:
    return await alga.install(
        next(TENANTS), name="com.example.reads", capabilities=list(GRANTS), grants=GRANTS
    )


def seed(install: Install, **members: Any) -> None:
    install.alga.server.seed.add(install.tenant, members)


async def ask(install: Install, api: str, operation: str, **members: Any) -> httpx.Response:
    return await install.host_call(api, operation, **members)


async def names(install: Install, api: str, **query: Any) -> list[str]:
    response = await ask(install, api, "list", input=query)
    assert response.status_code == 200, response.text
    return [item[f"{api[:-1]}Name"] for item in response.json()["items"]]


async def test_a_list_has_every_member_of_an_item_and_the_total(install: Install) -> None:
    seed(install, clients=[client(1)], services=[service(1)])

    assert (await ask(install, "clients", "list", input={})).json() == {
        "items": [client(1)],
        "totalCount": 1,
        "page": 1,
        "pageSize": 25,
    }
    assert (await ask(install, "services", "list", input={})).json()["items"] == [service(1)]


async def test_without_data_there_is_nothing(install: Install) -> None:
    response = await ask(install, "clients", "list", input={})

    assert response.json() == {"items": [], "totalCount": 0, "page": 1, "pageSize": 25}


async def test_pages_are_in_the_order_of_names_and_end(install: Install) -> None:
    seed(install, clients=[client(number) for number in range(30, 0, -1)])

    second = (await ask(install, "clients", "list", input={"page": 2, "pageSize": 20})).json()
    beyond = (await ask(install, "clients", "list", input={"page": 9})).json()

    assert [item["clientName"] for item in second["items"]] == [
        f"Client {number}" for number in range(21, 31)
    ]
    assert (second["totalCount"], second["page"], second["pageSize"]) == (30, 2, 20)
    assert (beyond["items"], beyond["totalCount"]) == ([], 30)


async def test_a_search_is_a_part_of_name_id_or_address_in_any_case(install: Install) -> None:
    seed(
        install,
        clients=[
            client(1, clientName="GLOBEX Straße"),
            client(2, billingEmail="Pay@Globex.test"),
            client(77),
        ],
        services=[service(1), service(2, sku="GLO-9")],
    )

    assert await names(install, "clients", search="globex") == ["Client 02", "GLOBEX Straße"]
    assert await names(install, "clients", search="STRASSE") == ["GLOBEX Straße"]
    assert await names(install, "clients", search="000077") == ["Client 77"]
    assert await names(install, "clients", search="%") == []
    assert await names(install, "clients", search="") == ["Client 02", "Client 77", "GLOBEX Straße"]
    assert await names(install, "services", search="glo-") == ["Service 02"]


async def test_inactive_clients_are_left_out_unless_they_are_asked_for(install: Install) -> None:
    seed(install, clients=[client(1), client(2, isInactive=True)])

    assert await names(install, "clients") == ["Client 01"]
    assert await names(install, "clients", includeInactive=True) == ["Client 01", "Client 02"]


async def test_services_are_filtered_by_kind_activity_and_billing(install: Install) -> None:
    seed(
        install,
        services=[
            service(1),
            service(2, itemKind="product"),
            service(3, isActive=False),
            service(4, billingMethod="usage"),
        ],
    )

    assert await names(install, "services", itemKind="product") == ["Service 02"]
    assert await names(install, "services", isActive=False) == ["Service 03"]
    assert await names(install, "services", billingMethod="usage") == ["Service 04"]
    assert await names(install, "services", itemKind="service", isActive=True, billingMethod="hourly") == [
        "Service 01"
    ]


async def test_an_item_is_found_by_its_id_in_any_case_and_another_is_null(install: Install) -> None:
    seed(install, clients=[client(1)], services=[service(1)])
    unknown = "33333333-3333-4333-8333-333333333333"

    one = await ask(install, "clients", "get", input={"clientId": client(1)["clientId"].upper()})
    other = await ask(install, "services", "get", input={"serviceId": service(1)["serviceId"]})
    none = await ask(install, "services", "get", input={"serviceId": unknown})

    assert one.json() == {"item": client(1)}
    assert other.json() == {"item": service(1)}
    assert (none.status_code, none.json()) == (200, {"item": None})


async def test_a_tenant_never_reads_what_another_has(install: Install, alga: Alga) -> None:
    theirs = await alga.install(
        next(TENANTS), name="com.example.reads", capabilities=list(GRANTS), grants=GRANTS
    )
    seed(theirs, clients=[client(1)])

    assert await names(install, "clients") == []
    assert (await ask(install, "clients", "get", input={"clientId": client(1)["clientId"]})).json() == {
        "item": None
    }


@pytest.mark.parametrize(
    ("api", "operation", "query", "field"),
    [
        ("clients", "list", {"search": "x" * 201}, "input.search"),
        ("clients", "list", {"page": 0}, "input.page"),
        ("clients", "list", {"page": 10_001}, "input.page"),
        ("services", "list", {"pageSize": 101}, "input.pageSize"),
        ("services", "list", {"pageSize": "5"}, "input.pageSize"),
        ("services", "list", {"itemKind": "person"}, "input.itemKind"),
        ("services", "list", {"billingMethod": "never"}, "input.billingMethod"),
        ("services", "list", {"isActive": "yes"}, "input.isActive"),
        ("clients", "get", {}, "input.clientId"),
        ("clients", "get", {"clientId": "globex"}, "input.clientId"),
        ("services", "get", {"serviceId": 5}, "input.serviceId"),
        ("clients", "list", [], "input"),
    ],
)
async def test_input_that_breaks_a_rule_is_invalid(
    install: Install, api: str, operation: str, query: Any, field: str
) -> None:
    response = await ask(install, api, operation, input=query)

    assert refusal(response) == (400, "INVALID_INPUT")
    assert list(response.json()["details"]["fieldErrors"]) == [field]


async def test_a_user_reads_what_the_data_permits_and_a_call_without_one_everything(install: Install) -> None:
    seed(install, clients=[client(1)], services=[service(1)], users={"ada": ["client:read"]})

    async def status(api: str, **members: Any) -> int:
        return (await ask(install, api, "list", input={}, **members)).status_code

    ada = {"userId": "ada", "userType": "internal"}
    assert await status("clients", user=ada) == 200
    assert await status("services", user=ada) == 403
    assert await status("clients", user={"userId": "bob"}) == 403
    assert await status("clients") == await status("clients", user=None) == 200
    refused = await ask(
        install, "clients", "get", input={"clientId": client(1)["clientId"]}, user={"userId": "bob"}
    )
    assert refusal(refused) == (403, "NOT_ALLOWED")
    assert refused.json()["error"] == "Permission denied: client:read"
