"""``user``: who asks, in both ABIs (alga-contract 1.5 and 4)."""

from __future__ import annotations

import logging
from typing import Any

import pytest

from alga_runner.models import ExecuteRequest
from tests.support.component_world import world_component
from tests.support.host_calls import ANSWERS_CASE, ANSWERS_TEXT, Calling

pytestmark = pytest.mark.anyio

USER = {
    "user_id": "u-1",
    "user_email": "ada@example.com",
    "user_name": "ada",
    "user_type": "client",
    "company_name": "Analytical Engines",
    "client_id": "c-1",
    "additional_fields": {"timezone": "Europe/London", "locale": "en", "contact_id": "k-1"},
}


async def get(place: Calling, **members: Any) -> dict[str, Any]:
    return await place.call("user.get", {}, grants=(), **members)


async def test_a_guest_sees_who_asks_with_further_fields_by_name(place: Calling) -> None:
    reply = await get(place, user=USER)

    user = reply["ok"]["user"]
    assert user == {
        "tenantId": "acme",
        "userId": "u-1",
        "userEmail": "ada@example.com",
        "userName": "ada",
        "userType": "client",
        "clientName": "Analytical Engines",
        "clientId": "c-1",
        "additionalFields": {"contact_id": "k-1", "locale": "en", "timezone": "Europe/London"},
    }
    assert list(user["additionalFields"]) == ["contact_id", "locale", "timezone"]
    assert place.server.requests == []


async def test_a_user_without_a_client_has_an_empty_client_name(place: Calling) -> None:
    user = {name: value for name, value in USER.items() if name.startswith("user_")}

    reply = await get(place, user=user)

    assert reply["ok"]["user"]["clientName"] == ""
    assert "clientId" not in reply["ok"]["user"]


async def test_where_nobody_asks_the_user_is_absent(place: Calling) -> None:
    assert await get(place) == {"ok": {}}


async def test_two_names_for_the_client_are_refused() -> None:
    document = {
        "context": {"tenant_id": "acme", "extension_id": "ext", "content_hash": "sha256:0"},
        "http": {"method": "GET", "path": "/"},
        "user": {**USER, "client_name": "Analytical Engines"},
    }

    with pytest.raises(ValueError, match="the same field"):
        ExecuteRequest.model_validate(document)


TEXTS = {"tenant-id": 4, "client-name": 12, "user-id": 20, "user-email": 28, "user-name": 36, "user-type": 44}
"""Where the texts of a user stand in the result of ``get-user``, after the tag of the result."""


@pytest.mark.parametrize("interface", ["user", "user-v2"])
@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("tenant-id", "acme"),
        ("client-name", "Analytical Engines"),
        ("user-id", "u-1"),
        ("user-email", "ada@example.com"),
        ("user-type", "client"),
    ],
)
async def test_a_component_sees_who_asks(place: Calling, interface: str, field: str, value: str) -> None:
    handler = f"""(local $text i32) (call ${interface}.get-user (i32.const 512))
      (if (i32.load8_u (i32.const 512)) (then unreachable))
      (local.set $text (i32.const {512 + TEXTS[field]})) {ANSWERS_TEXT}"""

    observation = await place.observe(
        world_component(handler, [f"{interface} get-user"]), grants=(), user=USER
    )

    assert observation.response is not None, observation.error
    assert observation.response.body().decode() == value


async def test_a_component_sees_the_first_of_the_further_fields_by_name(place: Calling) -> None:
    handler = f"""(local $text i32) (call $user-v2.get-user (i32.const 512))
      (local.set $text (i32.load (i32.const {512 + 64}))) {ANSWERS_TEXT}"""

    observation = await place.observe(world_component(handler, ["user-v2 get-user"]), grants=(), user=USER)

    assert observation.response is not None, observation.error
    assert observation.response.body() == b"contact_id"


@pytest.mark.parametrize("interface", ["user", "user-v2"])
async def test_a_component_gets_not_available_where_nobody_asks(place: Calling, interface: str) -> None:
    handler = f"(call ${interface}.get-user (i32.const 512)) {ANSWERS_CASE.format(case=516)}"

    observation = await place.observe(world_component(handler, [f"{interface} get-user"]), grants=())

    assert observation.response is not None, observation.error
    assert observation.response.status == 210  # an error, of the first case: not-available


async def test_nothing_of_the_user_is_logged(place: Calling, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.DEBUG)

    await get(place, user=USER)
    place.runner.telemetry.flush()

    written = caplog.text + place.runner.telemetry.render().decode()
    assert "user.get" in caplog.text
    assert not any(text in written for text in ("ada@example.com", "Analytical", "Europe/London", "u-1"))
