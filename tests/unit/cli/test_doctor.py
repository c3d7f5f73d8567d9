"""``alga-runner doctor``: the checks of ``/readyz`` for an environment, in sentences."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from alga_runner.cli import diagnosis
from alga_runner.errors import EngineUnavailable


@pytest.fixture
def doctor(run, monkeypatch: pytest.MonkeyPatch):
    """Run it with these arguments and environment variables; the engine is tried in this process alone."""
    monkeypatch.setattr(diagnosis, "check_in_subprocess", lambda: None)
    monkeypatch.setenv("ALGA_RUNNER_MAX_GUESTS", "4")
    monkeypatch.setenv("ALGA_RUNNER_MAX_MEMORY_MB", "4")

    def carry_out(*arguments: str, **variables: str):
        for name, value in variables.items():
            monkeypatch.setenv(name, value)
        return run("doctor", *arguments)

    return carry_out


def test_an_environment_in_which_a_runner_is_ready_fails_no_check(doctor, tmp_path: Path) -> None:
    result = doctor("--bundle-store", str(tmp_path), RUNNER_SERVICE_TOKEN="secret-one")

    assert result.exit_code == 0, result.stdout
    assert "ok      engine: The engine runs, and passes its checks." in result.stdout
    assert "-       alga_server: No Alga server is configured" in result.stdout
    assert result.stdout.endswith("Ready: no check failed.\n")
    assert "secret-one" not in result.output


def test_each_failed_check_has_a_sentence_and_a_next_step(doctor, tmp_path: Path) -> None:
    result = doctor(
        "--server-url",
        "http://127.0.0.1:1",
        "--bundle-store",
        str(tmp_path / "gone"),
        RUNNER_SERVICE_TOKEN="x",
    )

    assert result.exit_code == 1
    assert "FAILED  bundle_store: The bundle store" in result.stdout
    assert "FAILED  alga_server: The Alga server cannot be reached." in result.stdout
    assert "next: Start it, or correct STORAGE_API_BASE_URL." in result.stdout
    assert result.stdout.endswith("Not ready: 2 checks of 7 failed.\n")


def test_an_open_door_is_named_though_no_check_fails(doctor, tmp_path: Path) -> None:
    result = doctor("--bundle-store", str(tmp_path), ALGA_RUNNER_ALLOW_UNAUTHENTICATED_EXECUTE="true")

    assert result.exit_code == 0, result.stdout
    assert "ALGA_RUNNER_ALLOW_UNAUTHENTICATED_EXECUTE is set: everyone who can connect" in result.stdout


def test_an_engine_that_does_not_run_is_a_failed_check(doctor, monkeypatch: pytest.MonkeyPatch) -> None:
    def broken() -> None:
        raise EngineUnavailable("wasmtime crashes on this machine.")

    monkeypatch.setattr(diagnosis, "check_in_subprocess", broken)

    document = json.loads(doctor("--dev", "--json").stdout)

    assert [check["name"] for check in document["checks"] if check["failed"]] == ["bundle_store", "engine"]


def test_settings_that_cannot_be_used_are_one_failed_check(doctor) -> None:
    result = doctor(ALGA_RUNNER_MAX_GUESTS="many")

    assert result.exit_code == 1
    assert "FAILED  settings: The setting max_guests (ALGA_RUNNER_MAX_GUESTS) cannot be used" in result.stdout


def test_without_rules_extensions_call_no_servers_and_nothing_failed(doctor, tmp_path: Path) -> None:
    result = doctor("--bundle-store", str(tmp_path), RUNNER_SERVICE_TOKEN="x")

    assert result.exit_code == 0, result.stdout
    assert "-       egress: Extensions may call no other servers." in result.stdout
    assert "next: Name servers in ALGA_RUNNER_EGRESS_ALLOW" in result.stdout


def test_servers_and_addresses_that_are_open_to_extensions_are_named(doctor, tmp_path: Path) -> None:
    result = doctor(
        *("--bundle-store", str(tmp_path)),
        RUNNER_SERVICE_TOKEN="x",
        ALGA_RUNNER_EGRESS_ALLOW="https://*, http://a.example",
        ALGA_RUNNER_EGRESS_ALLOW_ADDRESSES="10.0.0.0/8, 169.254.0.0/16",
    )

    assert result.exit_code == 0, result.stdout
    assert "by 2 rules, and one of them allows any name." in result.stdout
    assert "in 2 networks, and metadata services of clouds are among them." in result.stdout


def test_a_vault_that_is_not_there_is_a_failed_check(doctor, tmp_path: Path) -> None:
    token = tmp_path / "token"
    token.write_text("hvs.planted")

    result = doctor(
        *("--bundle-store", str(tmp_path)),
        RUNNER_SERVICE_TOKEN="x",
        VAULT_ADDR="http://127.0.0.1:1",
        ALGA_VAULT_TOKEN_FILE=str(token),
    )

    assert result.exit_code == 1
    assert "FAILED  vault: Vault cannot be reached." in result.stdout
    assert "hvs.planted" not in result.output


def test_rules_that_cannot_be_read_are_a_failed_check(doctor) -> None:
    result = doctor(RUNNER_SERVICE_TOKEN="x", ALGA_RUNNER_EGRESS_ALLOW="https://a.example/path")

    assert result.exit_code == 1
    assert "egress_allow (ALGA_RUNNER_EGRESS_ALLOW) has an entry 1 that is no rule" in result.stdout
