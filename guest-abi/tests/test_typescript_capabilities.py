"""Each call of the Alga server, as an extension in JavaScript makes it, on both engines."""

from __future__ import annotations

import json
import subprocess
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest

from tests.support.host_calls import Calling, calling
from tests.support.language_relay import TYPESCRIPT

pytestmark = pytest.mark.anyio

GRANTS = ("cap:storage.kv", "cap:client.read", "cap:service.read", "cap:invoice.manual.create")
ID = "3f0f6a52-0e3b-4a5e-8d0a-5c1d1b6f2d11"
ENTRY = {"namespace": "settings", "key": "theme", "value": "AP8=", "metadata": {"encoding": "base64-bytes"}}
READ = {"namespace": "settings", "key": "theme", "value": [0, 255]}
CLIENT = {
    "clientId": ID,
    "clientName": "Analytical Engines",
    "isInactive": False,
    "billingEmail": "a@b.example",
}
SERVICE = {
    "serviceId": ID,
    "serviceName": "Calculating",
    "itemKind": "product",
    "billingMethod": "usage",
    "defaultRate": 125.5,
    "unitOfMeasure": "sum",
    "isActive": False,
    "sku": "C-1",
}
PAGE = {"totalCount": 61, "page": 3, "pageSize": 30}
INVOICE = {
    "invoiceId": "i-1",
    "invoiceNumber": "INV-7",
    "status": "draft",
    "subtotal": 15_000,
    "tax": 0,
    "total": 15_000.5,
}
USER = {
    "user_id": "u-1",
    "user_email": "ada@example.com",
    "user_name": "ada",
    "user_type": "client",
    "client_id": "c-1",
    "client_name": "Engines",
    "additional_fields": {"locale": "en"},
}


class Author:
    """Calls the handler."""

    def __init__(self, place: Calling, component: bytes) -> None:
        self.server = place.server
        self._place = place
        self._component = component

    async def json(self, path: str, **members: Any) -> Any:
        """The document that the handler answers with."""
        observation = await self._place.observe(
            self._component, **{"grants": GRANTS, "http": {"path": path}, **members}
        )
        return json.loads(observation.unwrap().body())


@pytest.fixture(scope="module", params=["quickjs", "spidermonkey"], ids="through-{}".format)
def component(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> bytes:
    """``capabilities.js``, built as an author builds."""
    if not (TYPESCRIPT / "dist").exists():
        pytest.skip("the SDK is not built: `make components` builds it")
    folder = tmp_path_factory.mktemp("capabilities")
    (folder / "handler.js").write_text(Path(__file__).with_name("capabilities.js").read_text())
    command = ["node", str(TYPESCRIPT / "build.mjs"), "handler.js", "--engine", request.param]
    done = subprocess.run(command, cwd=folder, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    return (folder / "dist" / "main.wasm").read_bytes()


@pytest.fixture(scope="module")
async def _running() -> AsyncIterator[Calling]:
    async with calling(max_memory_mb=64) as running:
        yield running


@pytest.fixture
def author(_running: Calling, component: bytes) -> Author:
    _running.start_again()
    return Author(_running, component)


@pytest.mark.parametrize(
    ("path", "answer", "expected"),
    [
        ("/get", {**ENTRY, "revision": 3}, {**READ, "revision": 3}),
        ("/put", {"revision": 4}, {**READ, "revision": 4}),
        ("/delete", {"success": True}, None),
        ("/list", {"items": [{**ENTRY, "revision": 3}], "nextCursor": None}, [{**READ, "revision": 3}]),
        ("/clients", {"items": [CLIENT], **PAGE}, {"items": [CLIENT], **PAGE}),
        ("/client", {"item": CLIENT}, CLIENT),
        ("/client", {"item": None}, None),
        ("/services", {"items": [SERVICE], **PAGE}, {"items": [SERVICE], **PAGE}),
        ("/service", {"item": SERVICE}, SERVICE),
        ("/service", {"item": None}, None),
        ("/invoice", {"success": True, "invoice": INVOICE}, {"success": True, **INVOICE}),
    ],
)
async def test_an_answer_of_the_server_is_read(
    author: Author, path: str, answer: object, expected: object
) -> None:
    author.server.answer(answer)

    read = await author.json(path)

    if path == "/invoice":
        read = {**read, **read.pop("invoice", {})}
    assert read == expected


@pytest.mark.parametrize(
    ("path", "sent"),
    [
        ("/put", {**ENTRY, "ifRevision": 3}),
        ("/clients", {"input": {"search": "Ana", "includeInactive": True, "page": 1, "pageSize": 30}}),
        (
            "/services",
            {
                "input": {
                    "itemKind": "product",
                    "billingMethod": "usage",
                    "isActive": False,
                    "page": 1,
                    "pageSize": 25,
                }
            },
        ),
        (
            "/invoice",
            {
                "clientId": ID,
                "items": [
                    {"serviceId": ID, "quantity": 1.5, "description": "Calls", "rate": 10000},
                    {
                        "serviceId": ID,
                        "quantity": 1,
                        "description": "Less",
                        "rate": 5,
                        "isDiscount": True,
                        "discountType": "percentage",
                    },
                ],
                "dueDate": "2026-03-29",
            },
        ),
    ],
)
async def test_a_call_is_sent_with_each_member_that_is_given(
    author: Author, path: str, sent: dict[str, Any]
) -> None:
    await author.json(path)

    asked = author.server.sent
    del asked["operation"]
    assert asked == sent


async def test_the_user_is_read_with_further_fields(author: Author) -> None:
    assert await author.json("/user", user=USER) == {
        "tenantId": "acme",
        "userId": "u-1",
        "userEmail": "ada@example.com",
        "userName": "ada",
        "userType": "client",
        "clientName": "Engines",
        "clientId": "c-1",
        "additionalFields": {"locale": "en"},
    }


@pytest.mark.parametrize(
    ("path", "status", "code", "expected"),
    [
        ("/get", 404, "NOT_FOUND", "missing"),
        ("/put", 409, "REVISION_MISMATCH", "conflict"),
        ("/put", 400, "LIMIT_EXCEEDED", "denied"),
        ("/delete", 404, "NOT_FOUND", "missing"),
        ("/clients", 403, "NOT_ALLOWED", "not-allowed"),
        ("/service", 400, "INVALID_INPUT", "invalid-input"),
    ],
)
async def test_a_refusal_rejects_with_the_case_of_its_interface(
    author: Author, path: str, status: int, code: str, expected: str
) -> None:
    author.server.answer({"error": "No.", "code": code}, status)

    assert await author.json(path) == {"code": expected}


async def test_a_refused_invoice_has_the_server_s_words_and_its_field_errors(author: Author) -> None:
    author.server.answer(
        {"success": False, "error": "Validation error", "fieldErrors": {"items": "Too long"}}, 400
    )

    assert await author.json("/invoice") == {
        "success": False,
        "error": "Validation error",
        "fieldErrors": {"items": "Too long"},
    }
