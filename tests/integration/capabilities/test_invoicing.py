"""``invoicing``: requests to the server, and its answers as guests read them (alga-contract 4)."""

from __future__ import annotations

import json
import logging
from typing import Any

import pytest

from tests.support.component_world import world_component
from tests.support.host_calls import ANSWERS_TEXT, Calling

pytestmark = pytest.mark.anyio

GRANTS = ("cap:invoice.manual.create",)
OPERATION = "invoicing.create-manual-invoice"
ID = "3f0f6a52-0e3b-4a5e-8d0a-5c1d1b6f2d11"
ITEM = {"serviceId": ID, "quantity": 1.5, "description": "Calculating", "rate": 12_550}
DISCOUNT = {
    **ITEM,
    "isDiscount": True,
    "discountType": "percentage",
    "appliesToServiceId": ID,
}
INVOICE = {
    "clientId": ID,
    "items": [ITEM, DISCOUNT],
    "invoiceDate": "2026-03-01",
    "dueDate": "2026-03-29",
    "poNumber": "PO-7",
}
CREATED = {
    "invoiceId": "i-1",
    "invoiceNumber": "INV-0007",
    "status": "draft",
    "subtotal": 18825,
    "tax": 0,
    "total": 18825.5,
}


async def create(place: Calling, invoice: dict[str, Any], **members: Any) -> dict[str, Any]:
    return await place.call(OPERATION, invoice, **{"grants": GRANTS, **members})


async def test_an_invoice_is_sent_with_every_member_that_is_given(place: Calling) -> None:
    place.server.answer({"success": True, "invoice": CREATED}, 201)

    reply = await create(place, INVOICE)

    assert reply == {"ok": CREATED}
    assert place.server.requests[0].url.path == "/api/internal/ext-invoicing/install/install-1"
    assert place.server.sent == {"operation": "createManualInvoice", **INVOICE}


async def test_members_that_are_absent_or_nil_are_not_sent(place: Calling) -> None:
    place.server.answer({"success": True, "invoice": CREATED}, 201)

    await create(place, {"clientId": ID, "items": [{**ITEM, "isDiscount": None}], "poNumber": None})

    assert place.server.sent == {"operation": "createManualInvoice", "clientId": ID, "items": [ITEM]}


async def test_a_refused_invoice_gives_the_server_s_words_and_its_field_errors(place: Calling) -> None:
    refusal = {
        "success": False,
        "error": "Validation error",
        "fieldErrors": {"clientId": "Invalid UUID", "items.0.quantity": "Must be > 0"},
    }
    place.server.answer(refusal, 400)

    assert await create(place, INVOICE) == {
        "err": {
            "code": "validation-failed",
            "message": "Validation error",
            "fieldErrors": {"clientId": "Invalid UUID", "items.0.quantity": "Must be > 0"},
        }
    }


@pytest.mark.parametrize(
    ("status", "document", "code"),
    [
        (403, {"success": False, "error": "Capability not granted"}, "denied"),
        (404, {"success": False, "error": "Install not found"}, "not-found"),
        (404, {"error": "Install not found", "code": "NOT_FOUND"}, "not-found"),
        (404, {"error": "Install not found"}, "not-found"),
        (500, {"success": False, "error": "Cannot number the invoice"}, "internal"),
        (503, {"success": False, "error": "Restarting"}, "unavailable"),
    ],
)
async def test_another_refusal_gives_the_server_s_words(
    place: Calling, status: int, document: dict[str, Any], code: str
) -> None:
    place.server.answer(document, status)

    assert (await create(place, INVOICE))["err"] == {"code": code, "message": document["error"]}


async def test_an_invoice_whose_answer_was_lost_is_not_retryable(place: Calling) -> None:
    place.server.answer(b"<h1>Bad gateway</h1>", 502)

    error = (await create(place, INVOICE))["err"]

    assert error["code"] == "unavailable"
    assert "retryable" not in error
    assert len(place.server.requests) == 1


@pytest.mark.parametrize(
    "answer",
    [
        {"success": True},
        {"success": True, "invoice": None},
        {"success": True, "invoice": {**CREATED, "total": "18825"}},
        {"invoice": CREATED},
    ],
)
async def test_an_answer_without_an_invoice_is_no_success(place: Calling, answer: object) -> None:
    place.server.answer(answer, 201)

    assert "err" in await create(place, INVOICE)


@pytest.mark.parametrize(
    ("members", "field"),
    [
        ({"clientId": 5}, "clientId"),
        ({"items": "all"}, "items"),
        ({"items": [{**ITEM, "quantity": "1"}]}, "items.0.quantity"),
        ({"items": [ITEM, {**ITEM, "rate": float("nan")}]}, "items.1.rate"),
        (
            {"items": [{name: value for name, value in ITEM.items() if name != "serviceId"}]},
            "items.0.serviceId",
        ),
    ],
)
async def test_a_member_of_another_type_is_named_and_nothing_is_sent(
    place: Calling, members: dict[str, Any], field: str
) -> None:
    reply = await create(place, {**INVOICE, **members})

    assert reply["err"]["code"] == "validation-failed"
    assert list(reply["err"]["fieldErrors"]) == [field]
    assert place.server.requests == []


async def test_without_the_grant_nothing_is_asked(place: Calling) -> None:
    reply = await create(place, INVOICE, grants=())

    assert reply["err"]["code"] == "denied"
    assert "Permission denied: cap:invoice.manual.create not granted" in reply["err"]["message"]
    assert place.server.requests == []


async def test_nothing_of_an_invoice_is_in_a_log_or_a_metric(
    place: Calling, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG)
    place.server.answer({"success": False, "error": "planted", "fieldErrors": {"planted": "planted"}}, 400)

    await create(place, {**INVOICE, "poNumber": "planted"})
    place.runner.telemetry.flush()

    written = caplog.text + place.runner.telemetry.render().decode()
    assert OPERATION in caplog.text
    assert not any(text in written for text in ("planted", "Calculating", "PO-7", ID))


# ---- Components

TEXT_OF_SUCCESS, TEXT_OF_ERROR, TEXT_OF_FIELD_ERRORS = 532, 604, 616
DATA = f"""(data (i32.const 2000) "{ID}") (data (i32.const 2100) "Calculating")"""
NO_TEXT = "(i32.const 0) (i32.const 0) (i32.const 0)"
CREATES = f"""
  (i32.store (i32.const 3000) (i32.const 2000)) (i32.store (i32.const 3004) (i32.const {len(ID)}))
  (f64.store (i32.const 3008) (f64.const 1.5))
  (i32.store (i32.const 3016) (i32.const 2100)) (i32.store (i32.const 3020) (i32.const 11))
  (f64.store (i32.const 3024) (f64.const 12550))
  (i32.store8 (i32.const 3032) (i32.const 1)) (i32.store8 (i32.const 3033) (i32.const 1))
  (i32.store8 (i32.const 3034) (i32.const 1)) (i32.store8 (i32.const 3035) (i32.const 0))
  (i32.store8 (i32.const 3048) (i32.const 1)) (i32.store (i32.const 3052) (i32.const 2000))
  (i32.store (i32.const 3056) (i32.const {len(ID)}))
  (call $invoicing.create-manual-invoice (i32.const 2000) (i32.const {len(ID)})
    (i32.const 3000) (i32.const 1) {NO_TEXT} {NO_TEXT} {NO_TEXT} (i32.const 512))"""


async def text_of(place: Calling, text: int, **members: Any) -> tuple[bool, str]:
    """Whether a component's create succeeded, and the text at that place of its result."""
    handler = f"""(local $text i32) {CREATES} (local.set $text (i32.const {text})) {ANSWERS_TEXT}
      (i32.store16 (i32.const 0) (i32.add (i32.const 200) (i32.load8_u (i32.const 512))))"""
    guest = world_component(handler, ["invoicing create-manual-invoice"], code=DATA)

    observation = await place.observe(guest, **{"grants": GRANTS, **members})

    assert observation.response is not None, observation.error
    return observation.response.status == 201, observation.response.body().decode()


async def test_a_component_creates_an_invoice(place: Calling) -> None:
    place.server.answer({"success": True, "invoice": CREATED}, 201)

    assert await text_of(place, TEXT_OF_SUCCESS) == (True, "INV-0007")
    assert place.server.sent == {
        "operation": "createManualInvoice",
        "clientId": ID,
        "items": [DISCOUNT],
    }


async def test_a_refused_component_reads_the_server_s_words_and_its_field_errors(place: Calling) -> None:
    place.server.answer(
        {"success": False, "error": "Validation error", "fieldErrors": {"items": "Too long"}}, 400
    )

    assert await text_of(place, TEXT_OF_ERROR) == (False, "Validation error")
    place.server.requests.clear()
    failed, text = await text_of(place, TEXT_OF_FIELD_ERRORS)
    assert (failed, json.loads(text)) == (False, {"items": "Too long"})


async def test_a_component_without_the_grant_reads_which_one_it_lacks(place: Calling) -> None:
    created, text = await text_of(place, TEXT_OF_ERROR, grants=())

    assert not created
    assert text.startswith("Permission denied: cap:invoice.manual.create not granted")
    assert place.server.requests == []
