"""The sample that uses secrets, other servers, the host's routes and the user."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import httpx
import pytest

FOLDER = Path(__file__).parents[1]
GRANTS = ["cap:http.fetch", "cap:secrets.get", "cap:ui.proxy"]
KEY = "key-of-the-test"


@pytest.fixture
def extension(alga: Any) -> Any:
    return alga.install(FOLDER, grant=GRANTS, secrets={"rates_key": KEY})


def test_rates_are_asked_for_with_the_install_s_secret(alga: Any, extension: Any) -> None:
    alga.egress.serve("https://rates.example.com", httpx.Response(200, json={"rates": {"USD": 1.08}}))

    response = extension.call("GET", "/rates", query={"base": "EUR"})

    assert response.json() == {"base": "EUR", "rates": {"USD": 1.08}}
    (request,) = alga.egress.requests
    assert str(request.url) == "https://rates.example.com/v1/latest?base=EUR"
    assert request.headers["authorization"] == f"Bearer {KEY}"


def test_another_server_can_be_configured(alga: Any) -> None:
    extension = alga.install(
        FOLDER, grant=GRANTS, secrets={"rates_key": KEY}, config={"service": "https://other.example"}
    )
    alga.egress.serve("https://other.example", httpx.Response(200, json={"rates": {}}))

    assert extension.call("GET", "/rates", query={"base": "EUR"}).status == 200


def test_a_server_that_no_rule_allows_is_named_with_the_rule(extension: Any) -> None:
    response = extension.call("GET", "/rates", query={"base": "EUR"})

    assert response.status == 403
    assert "https://rates.example.com" in response.json()["error"]["message"]


def test_without_the_secret_an_admin_learns_its_name(alga: Any) -> None:
    response = alga.install(FOLDER, grant=GRANTS).call("GET", "/rates", query={"base": "EUR"})

    assert response.status == 503
    assert "rates_key" in response.json()["error"]["message"]


@pytest.mark.parametrize(
    "answer",
    [httpx.Response(500), httpx.Response(200, text="no JSON"), httpx.Response(200, json={"other": 1})],
    ids=["an error", "no JSON", "no rates"],
)
def test_an_answer_without_rates_is_a_bad_gateway(alga: Any, extension: Any, answer: httpx.Response) -> None:
    alga.egress.serve("https://rates.example.com", answer)

    assert extension.call("GET", "/rates", query={"base": "EUR"}).status == 502


@pytest.mark.parametrize("query", [{}, {"base": "euro"}, {"base": "E&x"}])
def test_what_is_no_currency_is_refused_before_anything_is_sent(
    alga: Any, extension: Any, query: dict[str, str]
) -> None:
    assert extension.call("GET", "/rates", query=query).status == 400
    assert alga.egress.requests == []


def test_the_extension_shows_the_names_of_its_secrets_and_not_their_values(extension: Any) -> None:
    response = extension.call("GET", "/access")

    assert response.json() == {"user": None, "secrets": ["rates_key"]}


def test_a_notice_reaches_the_host_s_route(alga: Any, extension: Any) -> None:
    alga.seed(ui_routes=[{"method": "POST", "route": "/notices", "answer": {"id": 7}}])

    response = extension.call("POST", "/announce", json={"text": "Rates changed"})

    assert (response.status, response.json()) == (201, {"announced": {"id": 7}})


def test_a_route_that_the_host_lacks_is_an_error_with_its_code(extension: Any) -> None:
    response = extension.call("POST", "/announce", json={"text": "Rates changed"})

    assert response.json()["error"]["code"] == "not-found"
