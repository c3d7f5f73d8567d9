"""Containers under ``deploy``: the programs know every variable, and nothing runs with more than it needs."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest

from alga_runner import Settings
from alga_server import ServerSettings

ROOT = Path(__file__).parents[2]
DEPLOY = ROOT / "deploy"

KNOWN = {
    *(name for setting in Settings.model_fields for name in Settings.variables(setting)),
    *(name for setting in ServerSettings.model_fields for name in ServerSettings.variables(setting)),
    *Settings.command_variables,
}


def documents(path: str) -> list[dict[str, Any]]:
    yaml = pytest.importorskip("yaml")
    return [document for document in yaml.safe_load_all((DEPLOY / path).read_text()) if document]


def of_kind(kind: str) -> dict[str, Any]:
    (document,) = [one for one in documents("kubernetes/alga-runner.yaml") if one["kind"] == kind]
    return document


def services() -> dict[str, Any]:
    (compose,) = documents("container/compose.yaml")
    return {name: service for name, service in compose["services"].items() if name != "postgres"}


def test_the_programs_know_every_variable_of_the_image() -> None:
    text = (DEPLOY / "container" / "Dockerfile").read_text()
    named = set(re.findall(r"\b((?:ALGA|RUNNER|BUNDLE)_[A-Z_]+)=", text))

    assert named
    assert named - KNOWN == set()


def test_the_programs_know_every_variable_of_the_services() -> None:
    named = {name for service in services().values() for name in service["environment"]}

    assert len(named) > 8
    assert named - KNOWN == set()


def test_the_programs_know_every_variable_of_the_pods() -> None:
    named = set(of_kind("ConfigMap")["data"])

    assert named
    assert named - KNOWN == set()


@pytest.mark.parametrize("name", ["runner", "server"])
def test_a_service_can_neither_write_its_image_nor_gain_rights(name: str) -> None:
    service = services()[name]

    assert service["read_only"] is True
    assert service["cap_drop"] == ["ALL"]
    assert service["security_opt"] == ["no-new-privileges:true"]


def test_the_runner_s_network_leads_to_the_server_alone() -> None:
    (compose,) = documents("container/compose.yaml")

    assert services()["runner"]["networks"] == ["inside"]
    assert compose["networks"]["inside"]["internal"] is True


def test_a_pod_can_neither_write_its_image_nor_gain_rights() -> None:
    pod = of_kind("Deployment")["spec"]["template"]["spec"]
    (container,) = pod["containers"]

    assert pod["securityContext"]["runAsNonRoot"] is True
    assert pod["automountServiceAccountToken"] is False
    assert container["securityContext"] == {
        "allowPrivilegeEscalation": False,
        "readOnlyRootFilesystem": True,
        "capabilities": {"drop": ["ALL"]},
    }


def test_no_file_has_a_secret() -> None:
    for path in DEPLOY.rglob("*.yaml"):
        for name, value in re.findall(
            r"^\s*(\w*(?:TOKEN|PASSWORD)\w*): (.*)$", path.read_text(), re.MULTILINE
        ):
            assert re.match(r"\$\{[A-Z_]+:\?", value), f"{path.name}: {name}"
