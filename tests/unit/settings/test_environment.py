"""Variables of the environment, for every setting and option of both programs: blank ones, unknown ones, bad ones."""

from __future__ import annotations

import logging
import re
from collections.abc import Callable, Iterator
from pathlib import Path

import click
import pytest
from click.testing import CliRunner, Result

import alga_runner.cli
import alga_server.cli
from alga_common.cli.failures import Failure
from alga_common.environment import EnvironmentFault
from alga_common.logging import warn_of_ignored
from alga_common.settings import EnvironmentSettings
from alga_runner.errors import SettingsError
from alga_runner.settings import UPSTREAM_VARIABLES, Settings
from alga_server.cli.tokens import read_tokens
from alga_server.settings import ServerSettings

ROOT = Path(__file__).parents[3]
PROGRAMS = {
    "alga-runner": (alga_runner.cli.main, Settings),
    "alga-server": (alga_server.cli.main, ServerSettings),
}
EVERY_SETTING = [
    pytest.param(kind, name, id=name) for _, kind in PROGRAMS.values() for name in kind.model_fields
]


def load(kind: type[EnvironmentSettings]) -> EnvironmentSettings:
    loaded: EnvironmentSettings = kind.load()  # type: ignore[attr-defined] # both have it, with errors of their own
    return loaded


def refusal(kind: type[EnvironmentSettings]) -> SettingsError:
    with pytest.raises(SettingsError) as refused:
        load(kind)
    return refused.value


def options() -> Iterator[tuple[str, str, click.Option]]:
    """Program, command and every option of it that reads a variable."""
    for program, (main, _) in PROGRAMS.items():
        context = click.Context(main)
        commands = {
            "": main,
            **{name: main.get_command(context, name) for name in main.list_commands(context)},
        }
        for name, command in commands.items():
            assert command is not None
            for option in command.params:
                if isinstance(option, click.Option) and option.envvar:
                    yield program, name, option


EVERY_OPTION = [
    pytest.param(option, id=f"{program} {name} {option.name}") for program, name, option in options()
]


@pytest.fixture(autouse=True)
def _no_variables(monkeypatch: pytest.MonkeyPatch) -> None:
    for _, kind in PROGRAMS.values():
        for variable in [
            *kind.command_variables,
            *(one for name in kind.model_fields for one in kind.variables(name)),
        ]:
            monkeypatch.delenv(variable, raising=False)


@pytest.mark.parametrize("blank", ["", " \t"])
@pytest.mark.parametrize(("kind", "name"), EVERY_SETTING)
def test_a_blank_variable_leaves_a_setting_unset(
    kind: type[EnvironmentSettings], name: str, blank: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    for variable in kind.variables(name):
        monkeypatch.setenv(variable, blank)

    assert name not in load(kind).model_fields_set


@pytest.mark.parametrize(("kind", "name"), EVERY_SETTING)
def test_after_a_blank_variable_the_next_accepted_one_counts(
    kind: type[EnvironmentSettings], name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    *earlier, last = kind.variables(name)
    for variable in earlier:
        monkeypatch.setenv(variable, "")
    monkeypatch.setenv(last, "1")

    try:
        assert name in load(kind).model_fields_set
    except SettingsError as refused:
        assert f"The setting {name} ({last}) cannot be used" in str(refused)  # noqa: PT017


@pytest.mark.parametrize(("kind", "name"), EVERY_SETTING)
def test_a_value_that_cannot_be_used_is_refused_with_its_variable_and_is_not_quoted(
    kind: type[EnvironmentSettings], name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    variable = kind.variables(name)[-1]
    monkeypatch.setenv(variable, "hunter2\N{SNOWMAN}")
    if not name.endswith(("_token", "_tokens", "_key")) and re.search(
        "str|Path", str(kind.model_fields[name].annotation), re.IGNORECASE
    ):
        assert name in load(kind).model_fields_set  # any text will do, so far
        return

    refused = refusal(kind)
    first = "server_token" if variable == "RUNNER_SERVICE_TOKEN" else name  # the variable of two settings

    assert str(refused).startswith(f"The setting {first} ({variable}) cannot be used: ")
    assert "hunter2" not in f"{refused} {refused.hint}"


NUMBERS = [
    pytest.param(kind, name, id=name)
    for _, kind in PROGRAMS.values()
    for name, field in kind.model_fields.items()
    if re.search(r"int|float", str(field.annotation))
]


@pytest.mark.parametrize("number", ["inf", "9" * 30])
@pytest.mark.parametrize(("kind", "name"), NUMBERS)
def test_a_number_that_no_clock_or_database_could_add_to_is_refused(
    kind: type[EnvironmentSettings], name: str, number: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(kind.variables(name)[-1], number)

    assert f"The setting {name} (" in str(refusal(kind))


@pytest.mark.parametrize(
    ("line", "variable", "option"),
    [
        ("alga-runner serve", "ALGA_RUNNER_PORT", "--port"),
        ("alga-runner serve", "PORT", "--port"),
        ("alga-runner serve", "ALGA_RUNNER_WORKERS", "--workers"),
        ("alga-runner demo", "ALGA_RUNNER_DEBUG", "--debug"),
        ("alga-server extensions", "ALGA_SERVER_URL", "--server"),
        ("alga-server extensions", "ALGA_SERVER_DEBUG", "--debug"),
    ],
)
def test_an_option_s_value_from_a_variable_is_refused_with_the_variable(
    call: Callable[..., Result],
    line: str,
    variable: str,
    option: str,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv(variable, "https://user:hunter2@alga.example/?query")

    result = call(*line.split())

    assert result.exit_code == 2
    assert f"Invalid value for '{option}' ({variable}): " in result.stderr
    assert option != "--server" or "hunter2" not in result.stderr


@pytest.mark.parametrize("blank", ["", "  "])
@pytest.mark.parametrize("option", EVERY_OPTION)
def test_a_blank_variable_leaves_an_option_unset(
    option: click.Option, blank: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    names = [option.envvar] if isinstance(option.envvar, str) else list(option.envvar or ())
    for name in names:
        monkeypatch.setenv(name, blank)
    context = click.Context(click.Command("any"))

    assert option.resolve_envvar_value(context) is None

    monkeypatch.setenv(names[-1], "127.0.0.1")
    assert option.resolve_envvar_value(context) == "127.0.0.1"


def test_the_variables_of_options_are_those_that_the_settings_know() -> None:
    for program, (_, kind) in PROGRAMS.items():
        prefix = str(kind.model_config["env_prefix"])
        read = {
            name
            for of, _, option in options()
            if of == program
            for name in ([option.envvar] if isinstance(option.envvar, str) else option.envvar or ())
            if name.startswith(prefix)
        }

        assert read == set(kind.command_variables)


UNKNOWN = [
    (Settings, "ALGA_RUNNER_MAX_GUEST", "ALGA_RUNNER_MAX_GUESTS"),
    (Settings, "ALGA_RUNNER_WORKER", "ALGA_RUNNER_WORKERS"),
    (Settings, "ALGA_RUNNER_SERVER_URL", "STORAGE_API_BASE_URL"),
    (Settings, "ALGA_RUNNER_SERVICE_TOKEN", "RUNNER_SERVICE_TOKEN"),
    (Settings, "ALGA_RUNNER_BUNDLE_STORE", "BUNDLE_STORE_BASE"),
    (Settings, "alga_runner_max_guests", "ALGA_RUNNER_MAX_GUESTS"),
    (ServerSettings, "ALGA_SERVER_DATABASE", "ALGA_SERVER_DATABASE_URL"),
    (ServerSettings, "ALGA_SERVER_ADMIN_TOKN", "ALGA_SERVER_ADMIN_TOKEN"),
    (ServerSettings, "ALGA_SERVER_ULR", "ALGA_SERVER_URL"),
]


@pytest.mark.parametrize(("kind", "name", "nearest"), UNKNOWN)
def test_an_unknown_variable_is_refused_with_the_nearest_and_is_not_quoted(
    kind: type[EnvironmentSettings], name: str, nearest: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(name, "hunter2")

    refused = refusal(kind)

    assert str(refused) == f"{name} is set, and there is no such setting."
    assert refused.hint is not None
    assert refused.hint.startswith(f"The nearest is {nearest}. ")
    assert "hunter2" not in refused.hint
    with pytest.raises(EnvironmentFault):
        kind()


def test_many_unknown_variables_are_one_bounded_sentence(monkeypatch: pytest.MonkeyPatch) -> None:
    for number in range(9):
        monkeypatch.setenv(f"ALGA_RUNNER_{number}\x1b{'X' * 500}", "1")

    refused = refusal(Settings)

    assert "and 4 more are set, and there is no such setting" in str(refused)
    assert len(str(refused)) < 600
    assert "\x1b" not in f"{refused}{refused.hint}"


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("ALGA_RUNNER_MAX_GUEST", " "),  # blank is unset
        ("ALGA_SERVER_DATABASE_URL", "sqlite://"),  # the other program's
        ("ALGA_SERVER_NO_SUCH", "1"),  # the other program refuses it
        ("ALGA_RUNNER_SERVICE_HOST", "10.0.0.1"),  # links of Kubernetes for a service named alga-runner
        ("ALGA_RUNNER_SERVICE_PORT", "8080"),
        ("ALGA_RUNNER_SERVICE_PORT_HTTP", "8080"),
        ("ALGA_RUNNER_PORT", "tcp://10.0.0.1:8080"),
        ("ALGA_RUNNER_PORT_8080_TCP", "tcp://10.0.0.1:8080"),
        ("ALGA_RUNNER_PORT_8080_TCP_ADDR", "10.0.0.1"),
        ("ALGA_RUNNER_METRICS_PORT", "tcp://10.0.0.2:80"),
    ],
)
def test_a_variable_that_is_not_meant_for_the_program_is_left_alone(
    name: str, value: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(name, value)

    assert Settings.load().model_fields_set == set()


@pytest.fixture
def call() -> Callable[..., Result]:
    def carry_out(program: str, *arguments: str) -> Result:
        return CliRunner().invoke(PROGRAMS[program][0], list(arguments))

    return carry_out


@pytest.mark.parametrize(
    ("program", "arguments", "name"),
    [
        ("alga-runner", ["inspect", "nothing"], "ALGA_RUNNER_MAX_GUEST"),
        ("alga-runner", ["demo"], "ALGA_RUNNER_MAX_GUEST"),
        ("alga-server", ["extensions"], "ALGA_SERVER_ULR"),
        ("alga-server", ["environment"], "ALGA_SERVER_ADMIN_TOKN"),
        ("alga-server", ["clock"], "alga_server_url"),
    ],
)
def test_every_command_refuses_an_unknown_variable_of_its_program(
    call: Callable[..., Result],
    program: str,
    arguments: list[str],
    name: str,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv(name, "hunter2")

    result = call(program, *arguments)

    assert result.exit_code == 1
    assert result.stderr.startswith(
        f"error[settings_invalid]: {name} is set, and there is no such setting.\nhint: "
    )
    assert "hunter2" not in result.output
    assert call(program, arguments[0], "--help").exit_code == 0


@pytest.mark.parametrize(
    ("program", "arguments"),
    [
        ("alga-runner", ["serve", "--host", ""]),
        ("alga-runner", ["serve", "--bundle-store", " "]),
        ("alga-runner", ["serve", "--server-url", ""]),
        ("alga-runner", ["precompile", ".", "--code-cache", ""]),
        ("alga-server", ["serve", "--host", ""]),
        ("alga-server", ["serve", "--database", ""]),
        ("alga-server", ["serve", "--bundle-store", ""]),
        ("alga-server", ["serve", "--token-file", ""]),
        ("alga-server", ["migrate", "--database", ""]),
        ("alga-server", ["extensions", "--server", ""]),
    ],
)
def test_an_option_with_an_empty_value_is_bad_usage(
    call: Callable[..., Result], program: str, arguments: list[str]
) -> None:
    result = call(program, *arguments)

    assert result.exit_code == 2
    assert f"Invalid value for '{arguments[-2]}'" in result.stderr


def test_without_a_database_in_a_blank_variable_the_server_does_not_start(
    call: Callable[..., Result], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("ALGA_SERVER_DATABASE_URL", "")

    assert "Name the database, such as --database alga.db" in call("alga-server", "serve").stderr


def test_a_token_file_leaves_out_blank_names_and_the_runner_s(tmp_path: Path) -> None:
    file = tmp_path / "tokens.env"
    file.write_text(
        "ALGA_SERVER_ADMIN_TOKEN=\nALGA_SERVER_GATEWAY_TOKEN='  '\nALGA_SERVER_RUNNER_TOKEN=x\n"
        "ALGA_RUNNER_MAX_GUESTS=5\nRUNNER_SERVICE_TOKEN=y\nSTORAGE_API_BASE_URL=http://z\n"
    )
    file.chmod(0o600)

    assert read_tokens(file) == {"runner_token": "x"}


@pytest.mark.parametrize(
    ("line", "why"),
    [
        (
            "ALGA_SERVER_ADMIN_TOKN=hunter2",
            "in line 1: ALGA_SERVER_ADMIN_TOKN is not one; the nearest is ALGA_SERVER_ADMIN_TOKEN",
        ),
        ("hunter2=", "in line 1."),
    ],
)
def test_a_wrong_name_in_a_token_file_is_refused_with_the_nearest(
    tmp_path: Path, line: str, why: str
) -> None:
    file = tmp_path / "tokens.env"
    file.write_text(line)
    file.chmod(0o600)

    with pytest.raises(Failure) as refused:
        read_tokens(file)

    assert why in str(refused.value)
    assert "hunter2" not in str(refused.value)


def test_variables_of_alga_that_have_no_effect_are_one_warning(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    for name in UPSTREAM_VARIABLES:
        monkeypatch.delenv(name, raising=False)
    warn_of_ignored(logging.getLogger("alga_runner"), UPSTREAM_VARIABLES)
    assert caplog.records == []

    monkeypatch.setenv("RUNTIME_LIMITS", "hunter2.example")
    monkeypatch.setenv("WASM_POOL_TOTAL_COMPONENTS", "hunter2")
    monkeypatch.setenv("RUST_LOG", "")
    warn_of_ignored(logging.getLogger("alga_runner"), UPSTREAM_VARIABLES)

    [record] = caplog.records
    assert record.getMessage().endswith("have no effect here: WASM_POOL_TOTAL_COMPONENTS, RUNTIME_LIMITS")
    assert vars(record)["action"] == "variables_ignored"


def test_every_variable_of_alga_s_runner_is_either_read_or_warned_about() -> None:
    section = (ROOT / "docs/alga-contract.md").read_text().partition("## 6. Runner environment variables")[2]
    table = section.partition("\n## ")[0]
    named = {
        name
        for line in table.splitlines()
        if line.startswith("| `")
        for name in re.findall(r"`([A-Z][A-Z0-9_]+)`", line.split("|")[1])
    }
    read = {variable for name in Settings.model_fields for variable in Settings.variables(name)} | {"PORT"}

    assert named - read == set(UPSTREAM_VARIABLES)
    assert len(named) > 30


def test_a_message_that_names_a_setting_names_its_variable() -> None:
    bare = [
        f"{path.name}: {match[0]}"
        for top in ("runner", "server")
        for path in sorted((ROOT / top).rglob("*.py"))
        for match in re.finditer(r'"(?:The setting|The database that|Set) (\w+) (?!\()', path.read_text())
        if match[1] in {*Settings.model_fields, *ServerSettings.model_fields}
    ]

    assert bare == []
