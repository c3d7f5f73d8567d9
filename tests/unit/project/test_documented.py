"""Nothing that a person can set, meet, call or type is undocumented, and nothing documented is gone."""

from __future__ import annotations

import importlib
import importlib.util
import re
from pathlib import Path
from types import ModuleType

import pytest

from alga_runner.capabilities import OPERATIONS
from alga_runner.errors import AlgaError, HostCallCode, SettingsError
from alga_runner.models import KNOWN_CAPABILITIES
from alga_runner.settings import Settings
from alga_server.errors import ServerError

ROOT = Path(__file__).parents[3]
DOCS = ROOT / "docs"


def text(path: str) -> str:
    return (ROOT / path).read_text()


def script(name: str) -> ModuleType:
    spec = importlib.util.spec_from_file_location(name, ROOT / "scripts" / f"{name}.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def sections() -> dict[str, str]:
    """docs/errors.md by heading."""
    parts = re.split(r"^## (.+)$", text("docs/errors.md"), flags=re.MULTILINE)
    return dict(zip(parts[1::2], parts[2::2], strict=True))


def rows(section: str) -> list[list[str]]:
    """The cells of a section's table rows that begin with a code."""
    lines = [line for line in section.splitlines() if line.startswith("| `")]
    return [[cell.strip(" `") for cell in line.strip("|").split("|")] for line in lines]


def leaves(root: type[Exception]) -> set[type[Exception]]:
    below = {leaf for child in root.__subclasses__() for leaf in leaves(child)}
    return below or {root}


def everything(root: type[ServerError]) -> set[type[ServerError]]:
    return {root}.union(*(everything(child) for child in root.__subclasses__()))


@pytest.mark.parametrize(
    "path", sorted([*DOCS.glob("*.md"), *(ROOT / "guest-abi").glob("*.md")]), ids=lambda path: path.name
)
def test_the_tables_in_a_document_are_those_of_the_code(path: Path) -> None:
    document = path.read_text()

    assert script("docs_tables").rendered(document) == document, "run `make docs`"


@pytest.mark.parametrize("path", ["docs/settings.md", "docs/capabilities.md", "guest-abi/ABI.md"])
def test_a_document_of_settings_or_operations_has_a_table(path: str) -> None:
    assert "<!-- table: " in text(path)


ENVIRONMENT = [(name, variable) for name in Settings.model_fields for variable in Settings.variables(name)]


@pytest.mark.parametrize(("name", "variable"), ENVIRONMENT, ids=lambda value: value)
def test_a_documented_variable_sets_its_setting(
    name: str, variable: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    text = "sesame" if name.endswith("_token") else "\N{SNOWMAN}"
    monkeypatch.setenv(variable, text)

    try:
        value = getattr(Settings.load(), name)
    except SettingsError as refused:
        assert f"{name} ({variable})" in str(refused)  # noqa: PT017
    else:
        shown = value.get_secret_value() if hasattr(value, "get_secret_value") else value
        assert shown == text


def test_of_two_variables_the_first_counts(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("STORAGE_API_BASE_URL", "http://first.test")
    monkeypatch.setenv("REGISTRY_BASE_URL", "http://second.test")

    assert Settings.load().server_url == "http://first.test"


def test_every_error_code_is_documented_and_every_documented_one_exists() -> None:
    own = [
        row[0]
        for title, section in sections().items()
        if "server" not in title.lower()
        for row in rows(section)
    ]
    codes = {leaf.code for leaf in leaves(AlgaError) if issubclass(leaf, AlgaError)} - {"host_call_failed"}

    assert sorted(own) == sorted(codes | {code.value for code in HostCallCode})


def test_host_call_codes_stand_in_their_section() -> None:
    assert [row[0] for row in rows(sections()["Host calls"])] == [code.value for code in HostCallCode]


def test_the_server_codes_are_documented_with_their_status() -> None:
    documented = {(row[0], row[1]) for row in rows(sections()["The reference Alga server"])}

    assert documented == {(one.code, str(one.http_status)) for one in everything(ServerError)}


def test_every_documented_error_says_when_and_what_to_do() -> None:
    bare = [
        row[0] for section in sections().values() for row in rows(section) if not all(row) or len(row) < 3
    ]

    assert bare == []


def test_settings_that_the_errors_document_names_exist() -> None:
    named = set(re.findall(r"`(max_\w+|server_url|wasm_stack_bytes)`", text("docs/errors.md")))

    assert named <= Settings.model_fields.keys()


def test_every_document_that_the_code_points_to_exists() -> None:
    named = {
        name
        for top in ("runner", "server")
        for path in (ROOT / top).rglob("*.py")
        for name in re.findall(r"docs/[\w-]+\.md", path.read_text())
    }

    assert sorted(name for name in named if not (ROOT / name).exists()) == []


def test_every_link_between_documents_leads_somewhere() -> None:
    broken = [
        f"{path.relative_to(ROOT)}: {target}"
        for path in [*ROOT.glob("*.md"), *DOCS.rglob("*.md"), *(ROOT / "guest-abi").glob("*.md")]
        for target in re.findall(r"\]\(([^)#:\s]+)(?:#[^)]*)?\)", path.read_text())
        if not (path.parent / target).exists()
    ]

    assert broken == []


@pytest.mark.parametrize("name", sorted(OPERATIONS))
def test_an_operation_stands_in_the_abi_document(name: str) -> None:
    operation = OPERATIONS[name]
    document = text("guest-abi/ABI.md")

    assert f"alga:{operation.group}" in document
    assert re.search(rf"`(?:{operation.group}\.)?{operation.function}`", document)


@pytest.mark.parametrize("name", sorted(KNOWN_CAPABILITIES))
def test_a_capability_is_documented(name: str) -> None:
    assert f"`{name}`" in text("docs/capabilities.md")


def mentions(document: str, program: str, command: str) -> bool:
    """Whether a line has the command; those of a group may stand in one line, divided by bars."""
    *group, last = command.split()
    start = " ".join([program, *group])
    return any(last in re.split(r"[ \[\]`]+", line) for line in document.splitlines() if start in line)


@pytest.mark.parametrize(
    ("program", "package", "path"),
    [
        ("alga-runner", "alga_runner.cli", "docs/cli.md"),
        ("alga-server", "alga_server.cli", "docs/alga-server.md"),
    ],
)
def test_every_command_and_option_is_documented(program: str, package: str, path: str) -> None:
    document = text(path)
    click = importlib.import_module("click")
    main = importlib.import_module(package).main
    context = click.Context(main)
    commands = {name: main.get_command(context, name) for name in main.list_commands(context)}
    for name, command in list(commands.items()):
        if isinstance(command, click.Group):
            commands |= {f"{name} {below}": command.commands[below] for below in command.commands}
    missing = [name for name in commands if not mentions(document, program, name)]
    missing += [
        f"{name} {max(option.opts, key=len)}"
        for name, command in commands.items()
        for option in command.params
        if isinstance(option, click.Option) and not option.hidden
        if max(option.opts, key=len) not in document
    ]

    assert missing == []


def test_every_code_of_the_server_s_commands_is_documented() -> None:
    """Those of their own; a server's and a setting's stand in docs/errors.md."""
    folders = (ROOT / "server/alga_server/cli", ROOT / "runner/alga_common/cli")
    sources = "".join(path.read_text() for folder in folders for path in folder.rglob("*.py"))
    own = set(re.findall(r'Failure\(\s*"(\w+)"', sources)) | {"token_file_unusable"}
    section = text("docs/alga-server.md").partition("## Errors")[2]

    assert {row[0] for row in rows(section)} == own
