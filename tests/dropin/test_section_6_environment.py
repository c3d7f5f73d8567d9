"""Section 6: the environment file of Alga's runner is kept, with the lines that ``doctor --alga`` adds."""

from __future__ import annotations

import json
import logging
import os
import re
from collections.abc import Callable
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from alga_common.environment import parse_environment
from alga_runner import Settings
from alga_runner.cli import main
from alga_runner.cli.upstream import VARIABLES, effect, misspelt, warn_of_misspelt
from alga_runner.egress import parse_rules
from alga_runner.service.callers import Callers
from alga_runner.settings import UPSTREAM_VARIABLES

ROOT = Path(__file__).parents[2]
EXAMPLE = Path(__file__).parent / "alga-runner.env"
SECRET = "of-the-example"
"""The end of each secret in the example."""

Doctor = Callable[..., Result]


@pytest.fixture
def doctor(tmp_path: Path) -> Doctor:
    """``alga-runner doctor --alga`` on the example, with these lines changed, or left out where they are ``None``."""

    def run(*arguments: str, **changes: str | None) -> Result:
        variables = parse_environment(EXAMPLE.read_text()) | changes
        file = tmp_path / "runner.env"
        file.write_text(
            "".join(f"{name}={value}\n" for name, value in variables.items() if value is not None)
        )
        return CliRunner().invoke(main, ["doctor", "--alga", "--env-file", str(file), *arguments])

    return run


def lines_of(result: Result) -> list[str]:
    """The lines of the report that are no comments."""
    return [line for line in result.stdout.splitlines() if line and not line.startswith("#")]


def contract_names() -> list[str]:
    section = (ROOT / "docs/alga-contract.md").read_text().partition("\n## 6. ")[2].partition("\n## ")[0]
    cells = [line.split("|")[1] for line in section.splitlines() if line.startswith("| `")]
    names = [name for cell in cells for name in re.findall(r"`([A-Z][A-Z0-9_]+)`", cell)]
    # It is in the table as the default of the one before it.
    names.insert(names.index("RUNNER_STORAGE_API_TOKEN") + 1, "RUNNER_SERVICE_TOKEN")
    return names


def test_every_variable_of_the_contract_is_known_and_in_the_example() -> None:
    assert list(VARIABLES) == contract_names()
    assert sorted(parse_environment(EXAMPLE.read_text())) == sorted(VARIABLES)


@pytest.mark.parametrize("name", VARIABLES)
def test_a_variable_works_or_is_named_as_without_effect(name: str) -> None:
    assert (name in UPSTREAM_VARIABLES) == effect(name).startswith("No effect")


def test_the_lines_to_add_say_what_they_leave_open(doctor: Doctor) -> None:
    result = doctor()

    assert lines_of(result) == [
        "HOST=0.0.0.0",
        "ALGA_RUNNER_ALLOW_UNAUTHENTICATED_EXECUTE=true",
        "ALGA_RUNNER_BUNDLE_ENTRIES=skip",
        "ALGA_RUNNER_MAX_COMPONENT_BODY_BYTES=2600000",
        "ALGA_RUNNER_LOG_LEVEL=debug",
    ]
    for paragraph in result.stdout.split("\n\n"):
        if paragraph.splitlines()[-1] in lines_of(result):
            assert paragraph.startswith("# ")
    assert "everyone who can connect executes any extension" in result.stdout.replace("\n# ", " ")


def test_an_empty_list_of_hosts_is_everything_there_and_nothing_here(doctor: Doctor) -> None:
    line = "ALGA_RUNNER_EGRESS_ALLOW=http://*:*,https://*:*"

    assert line in lines_of(doctor(EXT_EGRESS_ALLOWLIST=""))
    assert line not in lines_of(doctor(EXT_EGRESS_ALLOWLIST="", ALGA_RUNNER_EGRESS_ALLOW="api.example"))
    assert parse_rules(line.partition("=")[2])


def test_with_the_lines_appended_there_is_nothing_left_to_add(doctor: Doctor) -> None:
    first = doctor()
    again = doctor(**parse_environment(first.stdout))

    assert lines_of(again) == []
    assert (first.exit_code, again.exit_code) == (0, 0), first.stdout


def test_with_the_lines_appended_the_runner_takes_callers_without_a_token(
    doctor: Doctor, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name, value in (parse_environment(EXAMPLE.read_text()) | parse_environment(doctor().stdout)).items():
        monkeypatch.setenv(name, value)

    settings = Settings.load()

    assert Callers.of(settings, development=False)
    assert settings.allow_unauthenticated_execute
    assert settings.server_url == "https://alga.example/api"


def test_variables_without_effect_are_named_with_the_reason(doctor: Doctor) -> None:
    document = json.loads(doctor("--json").stdout)

    assert [one["variable"] for one in document["withoutEffect"]] == list(UPSTREAM_VARIABLES)
    assert all(one["why"] for one in document["withoutEffect"])


@pytest.mark.parametrize(
    ("changes", "corrected"),
    [
        ({"BUNDLE_STORE_BASE": None}, "BUNDLE_STORE_BASE"),
        ({"STORAGE_API_BASE_URL": None, "REGISTRY_BASE_URL": " "}, "STORAGE_API_BASE_URL"),
        ({"RUNNER_STORAGE_API_TOKEN": None, "RUNNER_SERVICE_TOKEN": None}, "RUNNER_STORAGE_API_TOKEN"),
        ({"RUNNER_SERVICE_TOKEN": "local-runner-key"}, "RUNNER_SERVICE_TOKEN"),
        ({"RUNNER_STORAGE_API_TOKEN": "ChangeMe"}, "RUNNER_STORAGE_API_TOKEN"),
        ({"RUNNER_SERVICE_TOKN": "x"}, "RUNNER_SERVICE_TOKN"),
        ({"ALGA_RUNNER_MAX_GUESTS": "many"}, "settings"),
        ({"ALGA_RUNNER_MAX_GUEST": "5"}, "settings"),
    ],
    ids=str,
)
def test_what_keeps_the_runner_from_its_work_is_to_be_corrected(
    doctor: Doctor, changes: dict[str, str | None], corrected: str
) -> None:
    result = doctor("--json", **changes)

    assert [one["variable"] for one in json.loads(result.stdout)["correct"]] == [corrected]
    assert result.exit_code == 1


@pytest.mark.parametrize("arguments", [(), ("--json",)], ids=["text", "json"])
def test_the_report_has_no_secret(doctor: Doctor, arguments: tuple[str, ...]) -> None:
    assert SECRET not in doctor(*arguments, RUNNER_SERVICE_TOKEN="changeme").output


def test_the_environment_of_this_process_is_left_as_it_was(
    doctor: Doctor, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HOST", "127.0.0.1")
    before = dict(os.environ)

    assert "HOST=0.0.0.0" in lines_of(doctor())
    assert dict(os.environ) == before


def test_without_a_file_the_report_is_of_this_process(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("RUNNER_SERVICE_TOKEN", "changeme")
    monkeypatch.setenv("HOST", "::")

    result = CliRunner().invoke(main, ["doctor", "--alga"])

    assert "HOST=0.0.0.0" not in lines_of(result)
    assert "#   RUNNER_SERVICE_TOKEN: Everyone knows this token" in result.stdout


@pytest.mark.parametrize(
    ("content", "reason"),
    [(b"PORT=1\nhunter2\n", "line 2 is not NAME=VALUE"), (b"hunter 2=3", "line 1 is not NAME=VALUE")],
)
def test_a_line_that_sets_nothing_is_named_by_its_number(tmp_path: Path, content: bytes, reason: str) -> None:
    file = tmp_path / "runner.env"
    file.write_bytes(content)

    result = CliRunner().invoke(main, ["doctor", "--alga", "--env-file", str(file)])

    assert result.exit_code == 1
    assert reason in result.stderr
    assert "hunter" not in result.stderr


def test_a_file_goes_with_its_option_alone(tmp_path: Path) -> None:
    result = CliRunner().invoke(main, ["doctor", "--env-file", str(tmp_path / "x")])

    assert result.exit_code == 2
    assert "--env-file goes with --alga" in result.stderr


def test_a_variable_that_is_nearly_one_is_warned_about_with_the_nearest(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setenv("EXT_EGRESS_ALLOW_LIST", "hunter2.example")
    monkeypatch.setenv("ALGA_RUNER_MAX_GUESTS", "5")
    monkeypatch.setenv("S3_BUCKET", "bundles")
    monkeypatch.setenv("RUNNER_BASE_URL", "http://runner")
    monkeypatch.setenv("BUNDLE_STORE_BASES", " ")

    warn_of_misspelt(logging.getLogger("alga_runner"))

    [record] = caplog.records
    assert record.getMessage().endswith(
        "nothing reads them: ALGA_RUNER_MAX_GUESTS (the nearest is ALGA_RUNNER_MAX_GUESTS), "
        "EXT_EGRESS_ALLOW_LIST (the nearest is EXT_EGRESS_ALLOWLIST)"
    )


@pytest.mark.parametrize(
    "name", [*VARIABLES, "ALGA_RUNNER_PORT", "ALGA_SERVER_MAX_REQUEST_BYTES", "HOSTNAME"]
)
def test_a_variable_that_something_reads_is_not_taken_for_another(
    name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(name, "x")

    assert list(misspelt()) == []


@pytest.mark.parametrize(
    ("variables", "host"),
    [
        ({}, "127.0.0.1"),
        ({"HOST": "0.0.0.0"}, "0.0.0.0"),
        ({"HOST": "::"}, "::"),
        ({"HOST": "build-machine-7"}, "127.0.0.1"),
        ({"HOST": " "}, "127.0.0.1"),
        ({"HOST": "0.0.0.0", "ALGA_RUNNER_HOST": "10.0.0.7"}, "10.0.0.7"),
    ],
    ids=str,
)
def test_the_address_is_loopback_until_it_is_set(
    variables: dict[str, str], host: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    served: list[str] = []

    def serve(_given: object, *, host: str, **_door: object) -> int:
        served.append(host)
        return 0

    for name, value in variables.items():
        monkeypatch.setenv(name, value)
    monkeypatch.setattr("alga_runner.cli.serving.serve", serve)

    CliRunner().invoke(main, ["serve"], catch_exceptions=False)

    assert served == [host]
