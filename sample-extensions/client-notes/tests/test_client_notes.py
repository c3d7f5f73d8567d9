"""The sample that uses storage, clients, services, invoices and the user, on the reference server and a runner."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest

from alga_runner.testing.embedded import EmbeddedAlga
from alga_runner.testing.installed import Installed

pytestmark = [pytest.mark.anyio, pytest.mark.components]

FOLDER = Path(__file__).parents[1]
GRANTS = ("cap:client.read", "cap:service.read", "cap:storage.kv", "cap:invoice.manual.create")
CLIENTS = [f"0d5c1f6e-2b1f-4f0e-9a53-0a2b7f1f3c{number:02}" for number in range(30)]
SERVICE, UNKNOWN = "6a1f0c3e-6f0a-4a51-8c8e-54b3c1c7d9aa", "3f0f6a52-0e3b-4a5e-8d0a-5c1d1b6f2d11"
TENANT = {
    "clients": [
        {"clientId": client, "clientName": f"Client {number:02}"} for number, client in enumerate(CLIENTS)
    ],
    "services": [{"serviceId": SERVICE, "serviceName": "Support", "defaultRate": 15_000}],
}


@pytest.fixture(scope="module")
async def alga(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[EmbeddedAlga]:
    seed = tmp_path_factory.mktemp("seed") / "seed.json"
    seed.write_text(json.dumps({"tenants": {"acme": TENANT}}))
    async with EmbeddedAlga(seed_data=seed) as running:
        yield running


class Sample:
    """The sample, installed; each test has clients of its own."""

    def __init__(self, installed: Installed) -> None:
        self.installed = installed

    async def call(self, method: str, path: str, **body: Any) -> tuple[int, Any]:
        """Status and document of the answer."""
        observation = await self.installed.call(method, path, json=body or None)
        assert observation.response is not None, observation.error
        return observation.response.status, json.loads(observation.response.body())


@pytest.fixture(scope="module")
async def sample(alga: EmbeddedAlga) -> Sample:
    return Sample(await alga.install(FOLDER, grants=GRANTS))


async def test_clients_are_those_of_the_tenant(sample: Sample) -> None:
    status, answer = await sample.call("GET", "/clients")

    assert status == 200
    assert (len(answer["clients"]), answer["total"]) == (25, 30)
    assert answer["clients"][0] == {"id": CLIENTS[0], "name": "Client 00"}


async def test_notes_on_a_client_are_kept_in_order(sample: Sample) -> None:
    first = await sample.call("POST", "/notes", client=CLIENTS[0], text="Called.")
    second = await sample.call("POST", "/notes", client=CLIENTS[0], text="Called back.")

    assert first == (201, {"client": "Client 00", "revision": 1})
    assert second == (201, {"client": "Client 00", "revision": 2})
    _, answer = await sample.call("GET", "/notes")
    assert [note["text"] for note in answer["notes"][CLIENTS[0]]] == ["Called.", "Called back."]


async def test_notes_on_more_clients_than_a_page_has_are_all_listed(sample: Sample) -> None:
    met = CLIENTS[2:]
    for client in met:
        await sample.call("POST", "/notes", client=client, text="Met.")

    _, answer = await sample.call("GET", "/notes")

    assert [client for client in answer["notes"] if client in met] == met


async def test_deleted_notes_are_gone_and_cannot_be_deleted_again(sample: Sample) -> None:
    await sample.call("POST", "/notes", client=CLIENTS[1], text="Called.")

    assert await sample.call("POST", "/notes/delete", client=CLIENTS[1]) == (200, {"deleted": True})
    assert (await sample.call("POST", "/notes/delete", client=CLIENTS[1]))[0] == 404
    assert CLIENTS[1] not in (await sample.call("GET", "/notes"))[1]["notes"]


async def test_a_note_on_an_unknown_client_is_refused(sample: Sample) -> None:
    status, answer = await sample.call("POST", "/notes", client=UNKNOWN, text="Called.")

    assert (status, answer["error"]["message"]) == (404, "There is no such client.")


async def test_an_invoice_is_made_at_the_service_s_rate(sample: Sample) -> None:
    status, answer = await sample.call("POST", "/invoice", client=CLIENTS[0], service=SERVICE, quantity=2)

    assert status == 201
    assert answer["number"]
    assert answer["total"] == 30_000


async def test_an_invoice_that_the_server_refuses_gives_its_words(sample: Sample) -> None:
    status, answer = await sample.call("POST", "/invoice", client=CLIENTS[0], service=SERVICE, quantity=0)

    assert status == 422
    assert "Must be > 0" in str(answer["error"]["fieldErrors"])


async def test_what_is_not_granted_is_refused_and_the_rest_works(sample: Sample) -> None:
    await sample.installed.revoke("cap:storage.kv", "cap:invoice.manual.create")
    try:
        note, _ = await sample.call("POST", "/notes", client=CLIENTS[0], text="Called.")
        bill, answer = await sample.call("POST", "/invoice", client=CLIENTS[0], service=SERVICE)
        clients, _ = await sample.call("GET", "/clients")
    finally:
        await sample.installed.grant(*GRANTS)

    assert (note, bill, clients) == (403, 422, 200)
    assert "cap:invoice.manual.create not granted" in answer["error"]["message"]
