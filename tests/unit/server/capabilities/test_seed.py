"""Seed data: a file is read whole or refused with the line and the field."""

from __future__ import annotations

import json
import re
from pathlib import Path

import pytest

from alga_runner.errors import SettingsError
from alga_server.capabilities import seed
from alga_server.capabilities.seed import SeedData

CLIENT = "11111111-1111-4111-8111-111111111111"
SERVICE = "22222222-2222-4222-8222-222222222222"

GOOD = f"""\
tenants:
  acme:
    clients:
      - clientId: {CLIENT.upper()}
        clientName: Globex
    services:
      - serviceId: {SERVICE}
        serviceName: Support
        defaultRate: 15000
    users:
      {CLIENT}: [client:read]
    uiRoutes:
      - {{route: //tickets/open/, answer: [1]}}
"""


def file_with(tmp_path: Path, text: str | bytes) -> Path:
    file = tmp_path / "seed.yaml"
    file.write_bytes(text.encode() if isinstance(text, str) else text)
    return file


def refusal(tmp_path: Path, text: str | bytes) -> str:
    with pytest.raises(SettingsError) as refused:
        seed.load(file_with(tmp_path, text))
    return str(refused.value)


def test_a_yaml_file_gives_each_tenant_its_data(tmp_path: Path) -> None:
    data = seed.load(file_with(tmp_path, GOOD))

    acme = data.of("acme")
    assert [client.client_id for client in acme.clients] == [CLIENT]
    assert acme.services[0].default_rate == 15000
    assert acme.ui_routes[0].path == "tickets/open"
    assert acme.may(CLIENT, "client:read")
    assert not acme.may(CLIENT, "service:read")
    assert not acme.may("someone", "client:read")
    assert data.of("umbrella").clients == []


def test_json_is_taken_with_tabs_and_with_escapes(tmp_path: Path) -> None:
    document = {
        "tenants": {"acme": {"clients": [{"clientId": CLIENT, "clientName": "Gl\tobex \N{SNOWMAN}"}]}}
    }

    data = seed.load(file_with(tmp_path, json.dumps(document, indent="\t")))

    assert data.of("acme").clients[0].client_name == "Gl\tobex \N{SNOWMAN}"


def test_the_document_s_example_is_taken(tmp_path: Path) -> None:
    document = Path(__file__).parents[4] / "docs/extension-data.md"
    [example] = re.findall(r"```yaml\n(.*?)```", document.read_text(), re.DOTALL)

    acme = seed.load(file_with(tmp_path, example)).of("acme")

    assert [route.path for route in acme.ui_routes] == ["tickets/open", "api/v1/tickets"]
    assert (acme.clients[0].client_name, acme.services[0].service_name) == ("Globex", "Support")


def test_an_empty_file_is_no_data(tmp_path: Path) -> None:
    assert seed.load(file_with(tmp_path, "# nothing yet\n")).of("acme").clients == []


def test_without_users_every_user_may_read(tmp_path: Path) -> None:
    assert SeedData().of("acme").may("someone", "service:read")


@pytest.mark.parametrize(
    ("before", "after", "fault"),
    [
        (CLIENT.upper(), "7", "line 4: tenants.acme.clients.0.clientId: Input should be a valid string"),
        (CLIENT.upper(), "globex", "line 4: tenants.acme.clients.0.clientId: Invalid UUID"),
        ("clientName: Globex", "clientname: x", "line 4: tenants.acme.clients.0.clientName: Field required"),
        (
            "clientName",
            "clientname",
            "line 5: tenants.acme.clients.0.clientname: Extra inputs are not permitted",
        ),
        ("15000", "-1", "line 9: tenants.acme.services.0.defaultRate: Input should be greater than"),
        ("15000", ".nan", "line 9: tenants.acme.services.0.defaultRate: Input should be"),
        ("client:read]", "client:write]", f"line 11: tenants.acme.users.{CLIENT}.0: Input should be"),
        ("acme", '"a b"', "line 2: tenants.a b.[key]: Not an id that a tenant can have"),
        ("answer: [1]", "answer: 2026-01-01", "line 13: tenants.acme.uiRoutes.0.answer: Must be JSON"),
        ("answer: [1]", "status: 99", "line 13: tenants.acme.uiRoutes.0.status: Input should be greater"),
        ("clientName: Globex", "clientId: x", "line 5: the member clientId is there twice"),
        ("    uiRoutes", "  acme:\n    uiRoutes", "line 12: the member acme is there twice"),
        ("Globex", "[", "not YAML or JSON"),
        (
            "Globex",
            "!!python/object:os.system x",
            "line 5: not YAML or JSON: could not determine a constructor",
        ),
    ],
)
def test_a_fault_is_refused_with_its_line_and_field(
    tmp_path: Path, before: str, after: str, fault: str
) -> None:
    assert before in GOOD

    assert fault in refusal(tmp_path, GOOD.replace(before, after))


def test_an_id_that_is_there_twice_is_refused(tmp_path: Path) -> None:
    client = f"      - clientId: {CLIENT}\n        clientName: Again\n"

    fault = refusal(tmp_path, GOOD.replace("    services", client + "    services"))

    assert f"line 2: tenants.acme: clientId {CLIENT} is there twice" in fault


def test_of_many_faults_the_first_are_shown(tmp_path: Path) -> None:
    clients = "".join(f"\n      - clientId: {number}" for number in range(8))

    fault = refusal(tmp_path, f"tenants:\n  acme:\n    clients:{clients}")

    assert "(and 11 more)" in fault


@pytest.mark.parametrize("text", [b"\xff\xfe", "[]", "tenants: 5", "5", "- a\n- b"])
def test_what_is_no_document_is_refused(tmp_path: Path, text: str | bytes) -> None:
    assert refusal(tmp_path, text).startswith(f"The seed data {tmp_path}/seed.yaml cannot be used: ")


def test_a_file_that_is_missing_or_too_large_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with pytest.raises(SettingsError, match="cannot be read: No such file"):
        seed.load(tmp_path / "nowhere.yaml")
    monkeypatch.setattr(seed, "MAX_FILE_BYTES", 10)
    assert "larger than 10 bytes" in refusal(tmp_path, GOOD)


def test_data_can_be_added_to_a_tenant_s() -> None:
    data = SeedData()
    data.add("acme", {"clients": [{"clientId": CLIENT, "clientName": "Globex"}]})

    data.add("acme", {"services": [{"serviceId": SERVICE, "serviceName": "Support"}]})
    data.add("acme", {"clients": [{"clientId": SERVICE, "clientName": "Hooli"}], "taxPercent": 19})

    acme = data.of("acme")
    assert [client.client_name for client in acme.clients] == ["Globex", "Hooli"]
    assert (len(acme.services), acme.tax_percent) == (1, 19)


def test_data_that_is_added_is_checked() -> None:
    with pytest.raises(ValueError, match=r"clients\.0\.clientName: Field required"):
        SeedData().add("acme", {"clients": [{"clientId": CLIENT}]})
