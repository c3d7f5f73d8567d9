"""``clients`` and ``services``: requests to the server, and its answers as guests read them (alga-contract 4)."""

from __future__ import annotations

import logging
from collections.abc import Callable
from typing import Any

import pytest

from tests.support.component_world import world_component
from tests.support.host_calls import ANSWERS_CASE, ANSWERS_TEXT, Calling

pytestmark = pytest.mark.anyio

GRANTS = ("cap:client.read", "cap:service.read")
ID = "3f0f6a52-0e3b-4a5e-8d0a-5c1d1b6f2d11"
USER = {"user_id": "u-1", "user_email": "ada@example.com", "user_name": "ada", "user_type": "internal"}

CLIENT = {
    "clientId": ID,
    "clientName": "Analytical Engines",
    "clientType": "company",
    "isInactive": False,
    "defaultCurrencyCode": "GBP",
    "accountManagerId": None,
    "accountManagerName": None,
    "billingEmail": "bills@example.com",
}
SERVICE = {
    "serviceId": ID,
    "serviceName": "Calculating",
    "itemKind": "service",
    "billingMethod": "hourly",
    "serviceTypeId": None,
    "serviceTypeName": None,
    "defaultRate": 12550,
    "unitOfMeasure": "hour",
    "isActive": True,
    "sku": None,
}
ITEMS = {"clients": CLIENT, "services": SERVICE}
every_group = pytest.mark.parametrize("group", ["clients", "services"])


def page(item: object, **members: object) -> dict[str, object]:
    return {"items": [item], "totalCount": 61, "page": 3, "pageSize": 30, **members}


def as_read(item: dict[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in item.items() if value is not None}


async def call(place: Calling, operation: str, request: dict[str, Any], **members: Any) -> dict[str, Any]:
    return await place.call(operation, request, **{"grants": GRANTS, **members})


# ---- Requests


@every_group
async def test_a_list_asks_for_the_first_page_unless_it_names_one(place: Calling, group: str) -> None:
    place.server.answer(page(ITEMS[group]))

    await call(place, f"{group}.list", {})

    assert place.server.requests[0].url.path == f"/api/internal/ext-{group}/install/install-1"
    assert place.server.sent == {"operation": "list", "input": {"page": 1, "pageSize": 25}}


@pytest.mark.parametrize(
    ("operation", "given"),
    [
        ("clients.list", {"search": "Ana", "includeInactive": True, "page": 3, "pageSize": 30}),
        (
            "services.list",
            {"search": "C", "itemKind": "service", "isActive": True, "billingMethod": "hourly", "page": 2},
        ),
    ],
)
async def test_a_list_sends_each_member_that_is_given(
    place: Calling, operation: str, given: dict[str, Any]
) -> None:
    place.server.answer(page(ITEMS[operation.partition(".")[0]]))

    await call(place, operation, given)

    assert place.server.sent["input"] == {"page": 1, "pageSize": 25, **given}


@every_group
async def test_the_person_behind_the_request_is_sent_along(place: Calling, group: str) -> None:
    place.server.answer({"item": None})

    await call(place, f"{group}.get", {f"{group[:-1]}Id": ID}, user=USER)

    assert place.server.sent == {
        "operation": "get",
        "input": {f"{group[:-1]}Id": ID},
        "user": {"userId": "u-1", "userType": "internal"},
    }


@every_group
@pytest.mark.parametrize(
    ("member", "value"),
    [("page", 0), ("page", 10_001), ("pageSize", 0), ("pageSize", 101), ("search", "s" * 201)],
)
async def test_a_list_beyond_the_limits_is_not_sent(
    place: Calling, group: str, member: str, value: object
) -> None:
    reply = await call(place, f"{group}.list", {member: value})

    assert reply["err"]["code"] == "validation-failed"
    assert list(reply["err"]["fieldErrors"]) == [member]
    assert place.server.requests == []


# ---- Answers


@every_group
async def test_a_page_gives_its_items_without_what_has_no_value(place: Calling, group: str) -> None:
    place.server.answer(page(ITEMS[group]))

    reply = await call(place, f"{group}.list", {"page": 3, "pageSize": 30})

    assert reply == {"ok": page(as_read(ITEMS[group]))}


@every_group
@pytest.mark.parametrize("there", [True, False])
async def test_an_item_is_there_or_absent(place: Calling, group: str, *, there: bool) -> None:
    place.server.answer({"item": ITEMS[group] if there else None})

    reply = await call(place, f"{group}.get", {f"{group[:-1]}Id": ID})

    assert reply == {"ok": {group[:-1]: as_read(ITEMS[group])} if there else {}}


@every_group
@pytest.mark.parametrize("members", [{"items": [{"clientId": 5}]}, {"totalCount": "61"}, {"page": -1}])
async def test_one_member_that_cannot_be_read_fails_the_page(
    place: Calling, group: str, members: dict[str, Any]
) -> None:
    place.server.answer(page(ITEMS[group], **members))

    assert (await call(place, f"{group}.list", {}))["err"]["code"] == "internal"


# ---- Searches that the server cannot do


def faulty(clients: list[dict[str, Any]]) -> Callable[[dict[str, Any]], object]:
    """Clients of a server that fails at every search (alga-contract 7, fault 27)."""

    def answer(asked: dict[str, Any]) -> tuple[int, object]:
        which = asked["input"]
        if "search" in which:
            return 500, {"error": "Internal error", "code": "INTERNAL_ERROR"}
        first = (which["page"] - 1) * which["pageSize"]
        items = clients[first : first + which["pageSize"]]
        return 200, page(None, items=items, totalCount=len(clients), page=which["page"])

    return answer


def named(*names: str) -> list[dict[str, Any]]:
    return [{**CLIENT, "clientId": f"c-{number}", "clientName": name} for number, name in enumerate(names)]


async def test_a_search_that_the_server_fails_at_is_done_by_the_runner(place: Calling) -> None:
    place.server.answer(faulty(named(*(f"Client {number}" for number in range(250)), "Ärztehaus")))

    reply = await call(place, "clients.list", {"search": "client 24", "page": 2, "pageSize": 5})

    assert [client["clientName"] for client in reply["ok"]["items"]] == [
        "Client 244",
        "Client 245",
        "Client 246",
        "Client 247",
        "Client 248",
    ]
    assert (reply["ok"]["totalCount"], reply["ok"]["page"], reply["ok"]["pageSize"]) == (11, 2, 5)


async def test_such_a_search_is_in_any_case_and_in_addresses_too(place: Calling) -> None:
    place.server.answer(faulty(named("Ärztehaus", "Globex")))

    by_name = await call(place, "clients.list", {"search": "ÄRZTE"})
    by_address = await call(place, "clients.list", {"search": "BILLS@"})

    assert [client["clientName"] for client in by_name["ok"]["items"]] == ["Ärztehaus"]
    assert by_address["ok"]["totalCount"] == 2


async def test_more_clients_than_the_runner_searches_are_the_server_s_error(place: Calling) -> None:
    place.server.answer(faulty(named(*["Globex"] * 1_001)))

    error = (await call(place, "clients.list", {"search": "glob"}))["err"]

    assert error == {"code": "internal", "message": "Internal error"}
    assert len(place.server.requests) == 2


async def test_a_list_without_a_search_that_fails_is_asked_once(place: Calling) -> None:
    place.server.answer({"error": "Internal error", "code": "INTERNAL_ERROR"}, 500)

    assert (await call(place, "clients.list", {}))["err"]["code"] == "internal"
    assert len(place.server.requests) == 1


REFUSALS = [
    (400, "INVALID_INPUT", "validation-failed"),
    (403, "NOT_ALLOWED", "denied"),
    (404, "NOT_FOUND", "not-found"),
    (500, "INTERNAL_ERROR", "internal"),
]


@every_group
@pytest.mark.parametrize(("status", "code", "expected"), REFUSALS)
async def test_a_refusal_reaches_the_guest_with_the_server_s_words(
    place: Calling, group: str, status: int, code: str, expected: str
) -> None:
    place.server.answer({"error": "So it is.", "code": code}, status)

    error = (await call(place, f"{group}.list", {}))["err"]

    assert (error["code"], error["message"]) == (expected, "So it is.")


@every_group
async def test_a_server_without_the_route_is_named(place: Calling, group: str) -> None:
    place.server.answer(b"<h1>404</h1>", 404)

    error = (await call(place, f"{group}.list", {}))["err"]

    assert error == {"code": "unsupported", "message": f"The Alga server has no route for {group}."}


@pytest.mark.parametrize("operation", ["clients.list", "clients.get", "services.list", "services.get"])
async def test_without_its_own_grant_nothing_is_asked(place: Calling, operation: str) -> None:
    other = "cap:service.read" if operation.startswith("clients") else "cap:client.read"

    reply = await call(place, operation, {}, grants=(other,))

    assert reply["err"]["code"] == "denied"
    assert place.server.requests == []


async def test_nothing_of_a_client_is_in_a_log_or_a_metric(
    place: Calling, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG)
    place.server.answer(page({**CLIENT, "isInactive": "planted"}))

    await call(place, "clients.list", {"search": "planted"}, user=USER)
    place.runner.telemetry.flush()

    written = caplog.text + place.runner.telemetry.render().decode()
    assert "clients.list" in caplog.text
    assert not any(text in written for text in ("planted", "Analytical", "bills@", "u-1", ID))


# ---- Components

NO_TEXT, NONE = "(i32.const 0) (i32.const 0) (i32.const 0)", "(i32.const 0) (i32.const 0)"
ID_TEXT = f"(i32.const 2000) (i32.const {len(ID)})"
LISTS_CLIENTS = f"(call $clients.list-clients {NO_TEXT} {NONE} {NONE} {NONE} (i32.const 512))"
LISTS_SERVICES = (
    f"(call $services.list-services {NO_TEXT} (i32.const 1) (i32.const 1) {NONE} {NONE} {NONE} {NONE}"
    " (i32.const 512))"
)
GETS_CLIENT = f"(call $clients.get-client {ID_TEXT} (i32.const 512))"
GETS_SERVICE = f"(call $services.get-service {ID_TEXT} (i32.const 512))"
OF_FIRST = "(i32.add (i32.load (i32.const 516)) (i32.const 8))"


def component(function: str, handler: str) -> bytes:
    return world_component(f"(local $text i32) {handler}", [function], code=f'(data (i32.const 2000) "{ID}")')


@pytest.mark.parametrize(
    ("function", "calls", "text", "name"),
    [
        ("clients list-clients", LISTS_CLIENTS, OF_FIRST, "Analytical Engines"),
        ("services list-services", LISTS_SERVICES, OF_FIRST, "Calculating"),
        ("clients get-client", GETS_CLIENT, "(i32.const 528)", "Analytical Engines"),
        ("services get-service", GETS_SERVICE, "(i32.const 536)", "Calculating"),
    ],
)
async def test_a_component_reads_a_name(
    place: Calling, function: str, calls: str, text: str, name: str
) -> None:
    item = ITEMS[function.partition(" ")[0]]
    place.server.answer({"item": item, **page(item)})
    handler = f"{calls} (local.set $text {text}) {ANSWERS_TEXT}"

    observation = await place.observe(component(function, handler), grants=GRANTS)

    assert observation.response is not None, observation.error
    assert observation.response.body().decode() == name


async def test_a_component_s_enum_is_text_for_the_server(place: Calling) -> None:
    place.server.answer(page(SERVICE))

    await place.observe(
        component("services list-services", LISTS_SERVICES + ANSWERS_CASE.format(case=516)), grants=GRANTS
    )

    assert place.server.sent["input"] == {"itemKind": "product", "page": 1, "pageSize": 25}


@pytest.mark.parametrize(
    ("function", "calls", "tag"),
    [("clients get-client", GETS_CLIENT, 516), ("services get-service", GETS_SERVICE, 520)],
)
async def test_a_component_gets_none_for_an_unknown_id(
    place: Calling, function: str, calls: str, tag: int
) -> None:
    place.server.answer({"item": None})

    observation = await place.observe(
        component(function, calls + ANSWERS_CASE.format(case=tag)), grants=GRANTS
    )

    assert observation.response is not None, observation.error
    assert observation.response.status == 200  # a good result, whose option is empty


CASES = ["not-allowed", "invalid-input", "internal"]


@pytest.mark.parametrize(
    ("answer", "case"),
    [
        ((400, "INVALID_INPUT"), "invalid-input"),
        ((403, "NOT_ALLOWED"), "not-allowed"),
        ((404, "NOT_FOUND"), "internal"),
        ((429, "RATE_LIMITED"), "internal"),
        ((500, "INTERNAL_ERROR"), "internal"),
    ],
)
@pytest.mark.parametrize(
    ("function", "calls"),
    [("clients list-clients", LISTS_CLIENTS), ("services list-services", LISTS_SERVICES)],
    ids=["clients", "services"],
)
async def test_a_refusal_is_the_case_of_the_component_s_error(
    place: Calling, function: str, calls: str, answer: tuple[int, str], case: str
) -> None:
    place.server.answer({"error": "So it is.", "code": answer[1]}, answer[0])

    observation = await place.observe(
        component(function, calls + ANSWERS_CASE.format(case=516)), grants=GRANTS
    )

    assert observation.response is not None, observation.error
    assert observation.response.status == 210 + CASES.index(case)


async def test_a_kind_that_the_component_does_not_know_fails_the_page(place: Calling) -> None:
    place.server.answer(page({**SERVICE, "itemKind": "bundle"}))

    observation = await place.observe(
        component("services list-services", LISTS_SERVICES + ANSWERS_CASE.format(case=516)), grants=GRANTS
    )

    assert observation.response is not None, observation.error
    assert observation.response.status == 210 + CASES.index("internal")


@pytest.mark.parametrize(
    ("function", "calls"),
    [("clients list-clients", LISTS_CLIENTS), ("services list-services", LISTS_SERVICES)],
    ids=["clients", "services"],
)
async def test_a_component_without_the_grant_is_not_allowed(
    place: Calling, function: str, calls: str
) -> None:
    observation = await place.observe(component(function, calls + ANSWERS_CASE.format(case=516)), grants=())

    assert observation.response is not None, observation.error
    assert observation.response.status == 210 + CASES.index("not-allowed")
    assert place.server.requests == []
