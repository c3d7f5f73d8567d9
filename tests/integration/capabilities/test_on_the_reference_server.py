"""Core guests and the reference server: the calls of the server's capabilities, from one end to the other."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest

from alga_runner.testing.embedded import EmbeddedAlga
from alga_runner.testing.installed import Installed
from tests.support.bundles import make_bundle, manifest_api
from tests.support.host_calls import relayed, relaying_guest

pytestmark = pytest.mark.anyio

OPERATIONS = (
    *("storage.get", "storage.put", "storage.delete", "storage.list"),
    *("clients.list", "clients.get", "services.list", "services.get", "invoicing.create-manual-invoice"),
)
GRANTS = ("cap:storage.kv", "cap:client.read", "cap:service.read", "cap:invoice.manual.create")
CLIENT, SERVICE = "0d5c1f6e-2b1f-4f0e-9a53-0a2b7f1f3c11", "6a1f0c3e-6f0a-4a51-8c8e-54b3c1c7d9aa"
UNKNOWN = "3f0f6a52-0e3b-4a5e-8d0a-5c1d1b6f2d11"
SEED = {
    "tenants": {
        "acme": {
            "clients": [{"clientId": CLIENT, "clientName": "Globex", "billingEmail": "bills@globex.example"}],
            "services": [{"serviceId": SERVICE, "serviceName": "Support", "billingMethod": "hourly"}],
        }
    }
}


class Extension:
    """An installed extension whose guest makes the calls of a test."""

    def __init__(self, installed: Installed) -> None:
        self.installed = installed

    async def call(self, operation: str, **request: Any) -> dict[str, Any]:
        """What the guest reads of the call."""
        body = relayed(OPERATIONS.index(operation), request)
        observation = await self.installed.call("POST", "/go", body=body)
        assert observation.response is not None, observation.error
        (call,) = observation.host_calls
        reply: dict[str, Any] = call.reply
        return reply


@pytest.fixture(scope="module")
async def alga(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[EmbeddedAlga]:
    seed = tmp_path_factory.mktemp("seed") / "seed.json"
    seed.write_text(json.dumps(SEED))
    async with EmbeddedAlga(seed_data=Path(seed)) as running:
        yield running


async def installed(alga: EmbeddedAlga, tenant: str) -> Extension:
    guest = relaying_guest(*OPERATIONS)
    bundle = make_bundle(guest, api=manifest_api("POST /go"), capabilities=list(GRANTS))
    return Extension(await alga.install(bundle, tenant_id=tenant, grants=GRANTS))


@pytest.fixture(scope="module")
async def extension(alga: EmbeddedAlga) -> Extension:
    return await installed(alga, "acme")


async def test_a_value_is_kept_until_it_is_deleted(extension: Extension) -> None:
    at, value = {"namespace": "kept", "key": "theme"}, b"\x00ZGFyaw==\xff"

    first = await extension.call("storage.put", **at, value=value)
    read = await extension.call("storage.get", **at)
    await extension.call("storage.delete", **at)
    after = await extension.call("storage.get", **at)

    assert first == {"ok": {"revision": 1}}
    assert read == {"ok": {"entry": {**at, "value": value, "revision": 1}}}
    assert after == {"ok": {}}


@pytest.mark.parametrize(
    "value",
    [
        b"",
        b"\0",
        bytes(range(256)),
        b"ZGFyaw==",
        b'{"_bytes_b64":"ZGFyaw=="}',
        "ключ 🌙".encode(),
        b"\xff\xfe",
    ],
)
async def test_any_bytes_come_back_as_they_were_stored(extension: Extension, value: bytes) -> None:
    at = {"namespace": "any bytes", "key": "ключ 🌙"}
    await extension.call("storage.put", **at, value=value)

    reply = await extension.call("storage.get", **at)

    assert reply["ok"]["entry"]["value"] == value


async def test_deleting_an_absent_key_is_not_found(extension: Extension) -> None:
    reply = await extension.call("storage.delete", namespace="kept", key="never-there")

    assert reply["err"]["code"] == "not-found"


async def test_a_write_in_place_of_an_old_revision_is_a_conflict(extension: Extension) -> None:
    at = {"namespace": "revised", "key": "theme"}
    await extension.call("storage.put", **at, value=b"1")

    second = await extension.call("storage.put", **at, value=b"2", revision=1)
    late = await extension.call("storage.put", **at, value=b"3", revision=1)

    assert second == {"ok": {"revision": 2}}
    assert late["err"]["code"] == "conflict"


async def test_a_list_is_walked_to_its_end(extension: Extension) -> None:
    keys = [f"key-{number:02}" for number in range(11)]
    for key in keys:
        await extension.call("storage.put", namespace="listed", key=key, value=key.encode())
    seen, cursor = [], {}

    while True:
        page = (await extension.call("storage.list", namespace="listed", limit=5, **cursor))["ok"]
        seen += [entry["value"].decode() for entry in page["entries"]]
        if "nextCursor" not in page:
            break
        cursor = {"cursor": page["nextCursor"]}

    assert seen == keys


async def test_the_largest_value_is_kept_and_one_byte_more_is_too_large(extension: Extension) -> None:
    at = {"namespace": "large", "key": "value"}

    assert "ok" in await extension.call("storage.put", **at, value=bytes(49_149))
    error = (await extension.call("storage.put", **at, value=bytes(49_150)))["err"]

    assert error["code"] == "too-large"


async def test_a_key_with_a_slash_is_refused_with_the_server_s_words(extension: Extension) -> None:
    error = (await extension.call("storage.put", namespace="n", key="a/b", value=b""))["err"]

    assert error["code"] == "validation-failed"
    assert list(error["fieldErrors"]) == ["key"]


async def test_another_tenant_s_values_are_out_of_reach(alga: EmbeddedAlga, extension: Extension) -> None:
    theirs = await installed(alga, "globex")
    await extension.call("storage.put", namespace="private", key="theme", value=b"dark")

    assert await theirs.call("storage.get", namespace="private", key="theme") == {"ok": {}}
    assert await theirs.call("storage.list", namespace="private") == {"ok": {"entries": []}}
    assert (await theirs.call("clients.list"))["ok"]["items"] == []


async def test_clients_and_services_are_those_of_the_seed(extension: Extension) -> None:
    clients = await extension.call("clients.list", search="glob")
    services = await extension.call("services.list", billingMethod="hourly", pageSize=5)

    assert [client["clientName"] for client in clients["ok"]["items"]] == ["Globex"]
    assert [service["serviceName"] for service in services["ok"]["items"]] == ["Support"]
    assert (services["ok"]["totalCount"], services["ok"]["page"], services["ok"]["pageSize"]) == (1, 1, 5)


async def test_one_client_and_one_service_are_there_by_their_ids(extension: Extension) -> None:
    client = await extension.call("clients.get", clientId=CLIENT)
    service = await extension.call("services.get", serviceId=SERVICE)

    assert client["ok"]["client"]["billingEmail"] == "bills@globex.example"
    assert service["ok"]["service"]["serviceName"] == "Support"


async def test_an_unknown_client_is_absent_and_one_that_is_no_id_is_refused(extension: Extension) -> None:
    assert await extension.call("clients.get", clientId=UNKNOWN) == {"ok": {}}
    assert (await extension.call("services.get", serviceId="seven"))["err"]["code"] == "validation-failed"


LINE = {"serviceId": SERVICE, "quantity": 1.5, "description": "Calls", "rate": 10_000}


async def test_an_invoice_is_made(extension: Extension) -> None:
    reply = await extension.call("invoicing.create-manual-invoice", clientId=CLIENT, items=[LINE])

    assert reply["ok"].keys() == {"invoiceId", "invoiceNumber", "status", "subtotal", "tax", "total"}
    assert reply["ok"]["subtotal"] == 15_000


@pytest.mark.parametrize(
    ("members", "words"),
    [
        ({"items": []}, "Must include at least one item"),
        ({"items": [{**LINE, "quantity": 0}]}, "Must be > 0"),
        ({"items": [{**LINE, "discountType": "fixed"}]}, "Not allowed unless isDiscount=true"),
        ({"invoiceDate": "29.3.2026"}, "Invalid date (expected YYYY-MM-DD)"),
        ({"clientId": "seven"}, "Invalid UUID"),
    ],
)
async def test_an_invoice_against_a_rule_is_refused_with_the_server_s_words(
    extension: Extension, members: dict[str, Any], words: str
) -> None:
    invoice = {"clientId": CLIENT, "items": [LINE], **members}

    error = (await extension.call("invoicing.create-manual-invoice", **invoice))["err"]

    assert error["code"] == "validation-failed"
    assert words in str(error["fieldErrors"])
