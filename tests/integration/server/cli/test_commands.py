"""The commands of an admin, against a server in this process."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Callable, Iterator
from importlib.metadata import version
from pathlib import Path
from typing import Any

import anyio
import click
import httpx
import pytest
from click.testing import CliRunner, Result

from alga_runner.models import unpack
from alga_server import ManualClock, Server, ServerSettings
from alga_server.cli import main
from alga_server.cli.extension_files import read_archive

TOKEN = "admin-token-of-the-test"
NAME = "com.example.sync"
CONTEXT = click.Context(main)
COMMANDS = main.list_commands(CONTEXT)
CLIENTS = [name for name in COMMANDS if name not in {"serve", "migrate", "environment"}]
ARGUMENTS = {
    "publish": ["."],
    "install": [NAME, "--tenant", "acme"],
    "grant": [NAME, "--tenant", "acme", "--cap", "log.emit"],
    "revoke": [NAME, "--tenant", "acme", "--cap", "log.emit"],
    **{name: [NAME, "--tenant", "acme"] for name in ("enable", "disable", "uninstall", "upgrade", "run-now")},
    **{name: ["--tenant", "acme"] for name in ("installs", "schedules", "runs")},
}

Run = Callable[..., Result]


@pytest.fixture
def app() -> Iterator[Any]:
    server = Server(ServerSettings(admin_token=TOKEN), clock=ManualClock())
    yield server.app
    anyio.run(server.aclose)


@pytest.fixture
def alga(app: Any, monkeypatch: pytest.MonkeyPatch) -> Run:
    """``alga-server`` talking to the server; give ``transport`` for another one's answers."""
    monkeypatch.setenv("ALGA_SERVER_ADMIN_TOKEN", TOKEN)
    monkeypatch.delenv("ALGA_SERVER_URL", raising=False)

    def call(*arguments: str, transport: httpx.AsyncBaseTransport | None = None, **options: Any) -> Result:
        carrier = transport or httpx.ASGITransport(app)
        return CliRunner().invoke(main, list(arguments), obj=carrier, **options)

    return call


@pytest.fixture
def folder(tmp_path: Path) -> Iterator[Path]:
    """An extension on a disk; its manifest can be rewritten with ``write_manifest``."""
    place = tmp_path / "extension"
    (place / "dist").mkdir(parents=True)
    (place / "dist" / "main.wasm").write_bytes(b"\0asm")
    write_manifest(place)
    return place


def write_manifest(folder: Path, **changes: Any) -> None:
    manifest = {
        "name": NAME,
        "publisher": "Example",
        "version": "1.0.0",
        "runtime": "wasm-js@1",
        "capabilities": ["cap:scheduler.manage", "cap:storage.kv"],
        "api": {"endpoints": [{"method": "POST", "path": "/sync", "handler": "sync"}]},
        **changes,
    }
    (folder / "manifest.json").write_text(json.dumps(manifest))


def done(result: Result) -> str:
    assert (result.exit_code, result.stderr) == (0, ""), result.output
    return result.stdout


def document(result: Result) -> Any:
    return json.loads(done(result))


def refused(result: Result, code: str) -> str:
    """What stderr says of a command that ended with this error."""
    assert result.exit_code == 1, result.output
    assert result.stderr.startswith(f"error[{code}]: "), result.stderr
    assert "Traceback" not in result.output
    return result.stderr


# ---- Help


def command(name: str) -> click.Command:
    command = main.get_command(CONTEXT, name)
    assert command is not None
    return command


def test_help_shows_how_to_begin(alga: Run) -> None:
    assert "alga-server install com.example.sync --tenant acme --grant scheduler.manage" in done(
        alga("--help")
    )


@pytest.mark.parametrize("name", COMMANDS)
def test_the_help_of_a_command_has_examples_and_exit_statuses(alga: Run, name: str) -> None:
    shown = " ".join(done(alga(name, "--help")).split())

    assert f" alga-server {name}" in shown.partition("Examples:")[2]
    assert "Exit status: 0" in shown


@pytest.mark.parametrize("name", COMMANDS)
def test_every_option_says_what_it_does_and_every_command_has_json(name: str) -> None:
    options = [each for each in command(name).params if isinstance(each, click.Option)]

    assert [option.name for option in options if not option.help] == []
    # ``environment`` prints lines for a shell and nothing else.
    assert ("--json" in {text for option in options for text in option.opts}) == (name != "environment")


@pytest.mark.parametrize("name", COMMANDS)
def test_no_command_takes_a_token_or_more_than_one_thing_by_position(name: str) -> None:
    params = command(name).params

    assert sum(isinstance(each, click.Argument) for each in params) <= 1
    assert [text for each in params for text in each.opts if "token" in text and text != "--token-file"] == []


@pytest.mark.parametrize("arguments", [[], *([name] for name in COMMANDS)])
def test_help_loads_neither_server_nor_client(arguments: list[str]) -> None:
    heavy = "{'pydantic', 'sqlalchemy', 'fastapi', 'rich', 'anyio', 'httpx', 'uvicorn'}"
    script = (
        "import sys; from alga_server.cli import main\n"
        f"try: main([*{arguments!r}, '--help'])\n"
        f"except SystemExit: print(sorted({heavy} & set(sys.modules)), file=sys.stderr)"
    )

    ended = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)

    assert ended.stderr.strip() == "[]"


def test_the_version_is_the_distribution_s(alga: Run) -> None:
    assert version("alga-runner") in done(alga("--version"))


# ---- Publishing


def test_publishing_a_folder_says_what_was_published(alga: Run, folder: Path) -> None:
    shown = done(alga("publish", str(folder)))

    assert shown.startswith(f"Published {NAME} 1.0.0.\n")
    assert "cap:scheduler.manage, cap:storage.kv" in shown


def test_publishing_again_changes_nothing_and_says_so(alga: Run, folder: Path) -> None:
    first = document(alga("publish", str(folder), "--json"))
    again = document(alga("publish", str(folder), "--json"))

    assert (first.pop("created"), again.pop("created")) == (True, False)
    assert first == again
    assert done(alga("publish", str(folder))).startswith(
        f"{NAME} 1.0.0 was published before; nothing changed."
    )


def test_a_bundle_is_published_as_it_is(alga: Run, folder: Path, tmp_path: Path) -> None:
    bundle = tmp_path / "sync.tar.zst"
    bundle.write_bytes(read_archive(folder))

    of_folder = document(alga("publish", str(folder), "--json"))
    assert document(alga("publish", str(bundle), "--json"))["contentHash"] == of_folder["contentHash"]


def test_only_manifest_module_and_ui_are_packed_and_nothing_hidden(folder: Path) -> None:
    for name in (
        "ui/index.html",
        "ui/deep/app.js",
        "ui/.DS_Store",
        "ui/.git/config",
        "secret.env",
        "src/a.ts",
    ):
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_text(name)

    packed = unpack(read_archive(folder))

    assert sorted(packed) == ["dist/main.wasm", "manifest.json", "ui/deep/app.js", "ui/index.html"]


def test_other_content_under_a_published_version_is_refused(alga: Run, folder: Path) -> None:
    alga("publish", str(folder))
    (folder / "dist" / "main.wasm").write_bytes(b"\0asm\1")

    assert "versions never change" in refused(alga("publish", str(folder)), "version_exists")


def test_a_bad_manifest_is_refused_in_the_server_s_words(alga: Run, folder: Path) -> None:
    write_manifest(folder, version="one")

    assert "version" in refused(alga("publish", str(folder)), "bundle_invalid")


def test_nothing_at_a_path_is_a_sentence(alga: Run, tmp_path: Path) -> None:
    assert "hint: Give an extension's folder" in refused(
        alga("publish", str(tmp_path / "nothing")), "extension_not_found"
    )


@pytest.mark.parametrize("name", ["manifest.json", "dist/main.wasm"])
def test_a_missing_file_is_named(alga: Run, folder: Path, name: str) -> None:
    (folder / name).unlink()

    assert f"has no {name}." in refused(alga("publish", str(folder)), "extension_not_found")


def test_a_link_out_of_the_folder_is_not_followed(alga: Run, folder: Path, tmp_path: Path) -> None:
    (tmp_path / "secret").write_text("secret")
    (folder / "ui").mkdir()
    (folder / "ui" / "link.js").symlink_to(tmp_path / "secret")

    refused(alga("publish", str(folder)), "extension_unusable")


def test_a_linked_folder_is_not_followed(alga: Run, folder: Path, tmp_path: Path) -> None:
    (folder / "ui").mkdir()
    (folder / "ui" / "more").symlink_to(tmp_path)

    refused(alga("publish", str(folder)), "extension_unusable")


def test_extensions_lists_every_version(alga: Run, folder: Path) -> None:
    assert done(alga("extensions")) == "Nothing is published.\n"
    alga("publish", str(folder))
    write_manifest(folder, version="1.1.0")
    alga("publish", str(folder))

    lines = done(alga("extensions")).splitlines()
    found = document(alga("extensions", "--name", NAME, "--json"))["extensions"]

    assert lines[0].split()[:3] == ["NAME", "VERSION", "CAPABILITIES"]
    assert [line.split()[:2] for line in lines[1:]] == [[NAME, "1.0.0"], [NAME, "1.1.0"]]
    assert [each["version"] for each in found[0]["versions"]] == ["1.0.0", "1.1.0"]
    assert document(alga("extensions", "--name", "other", "--json")) == {"extensions": []}


# ---- Installing


@pytest.fixture
def published(alga: Run, folder: Path) -> dict[str, Any]:
    found: dict[str, Any] = document(alga("publish", str(folder), "--json"))
    return found


@pytest.fixture
def installed(alga: Run, published: dict[str, Any]) -> dict[str, Any]:
    found: dict[str, Any] = document(
        alga("install", NAME, "--tenant", "acme", "--grant", "scheduler.manage", "--json")
    )
    return found


def test_installing_grants_what_was_named_and_says_what_is_withheld(
    alga: Run, published: dict[str, Any]
) -> None:
    shown = done(alga("install", NAME, "--tenant", "acme", "--grant", "cap:storage.kv", "--config", "a=b=c"))

    assert shown.startswith(f"Installed {NAME} 1.0.0 for tenant acme.\n")
    assert "granted  cap:storage.kv\n" in shown
    assert "asks for cap:scheduler.manage\n" in shown
    [install] = document(alga("installs", "--tenant", "acme", "--json"))["installs"]
    assert (install["grants"], install["config"]) == (["cap:storage.kv"], {"a": "b=c"})


def test_an_extension_can_be_named_by_its_id(alga: Run, published: dict[str, Any]) -> None:
    made = document(alga("install", published["extensionId"], "--tenant", "acme", "--json"))

    assert made["extensionName"] == NAME


def test_a_version_can_be_named(alga: Run, folder: Path, published: dict[str, Any]) -> None:
    write_manifest(folder, version="2.0.0")
    alga("publish", str(folder))

    assert document(alga("install", NAME, "--tenant", "a", "--json"))["version"] == "2.0.0"
    older = document(alga("install", NAME, "--tenant", "b", "--version", "1.0.0", "--json"))
    assert older["version"] == "1.0.0"
    said = refused(alga("install", NAME, "--tenant", "c", "--version", "3.0.0"), "not_found")
    assert "hint: It has 1.0.0, 2.0.0." in said


def test_a_name_of_two_publishers_must_be_an_id(alga: Run, folder: Path, published: dict[str, Any]) -> None:
    write_manifest(folder, publisher="Another")
    other = document(alga("publish", str(folder), "--json"))

    said = refused(alga("install", NAME, "--tenant", "acme"), "ambiguous")

    assert f"{published['extensionId']} (Example)" in said
    assert f"{other['extensionId']} (Another)" in said


@pytest.mark.parametrize("wanted", ["nothing", "00000000-0000-0000-0000-000000000000", "../tenants"])
def test_an_unknown_extension_is_not_found(alga: Run, wanted: str) -> None:
    refused(alga("install", wanted, "--tenant", "acme"), "not_found")


def make_schedule(app: Any, installed: dict[str, Any]) -> str:
    """A schedule for ``POST /sync`` of the install; its id."""

    async def make() -> httpx.Response:
        async with httpx.AsyncClient(transport=httpx.ASGITransport(app), base_url="http://server") as client:
            return await client.post(
                f"/api/admin/tenants/acme/installs/{installed['installId']}/schedules",
                json={"endpoint": "/sync", "cron": "0 * * * *"},
                headers={"authorization": f"Bearer {TOKEN}"},
            )

    made: str = anyio.run(make).json()["id"]
    return made


def publish_next(alga: Run, folder: Path, path: str, **changes: Any) -> None:
    endpoints = [{"method": "POST", "path": path, "handler": "sync"}]
    write_manifest(folder, version="2.0.0", api={"endpoints": endpoints}, **changes)
    done(alga("publish", str(folder)))


def test_an_upgrade_says_from_where_to_where_and_what_came_along(
    alga: Run, app: Any, folder: Path, installed: dict[str, Any]
) -> None:
    make_schedule(app, installed)
    publish_next(alga, folder, "/sync", capabilities=["cap:secrets.get"])

    said = done(alga("upgrade", NAME, "--tenant", "acme"))

    assert f"{NAME} is at 2.0.0 for tenant acme; it was at 1.0.0." in said
    assert "1 schedule went with it" in said
    assert f"alga-server grant {NAME} --tenant acme --cap cap:secrets.get" in said


def test_an_upgrade_that_is_blocked_lists_the_schedules_and_how_to_go_on(
    alga: Run, app: Any, folder: Path, installed: dict[str, Any]
) -> None:
    schedule_id = make_schedule(app, installed)
    publish_next(alga, folder, "/other")

    said = refused(alga("upgrade", NAME, "--tenant", "acme"), "SCHEDULE_REMAP_FAILED")

    assert f"schedule {schedule_id}: POST /sync" in said
    assert "--disable-missing-schedules" in said.partition("hint:")[2]


def test_an_upgrade_that_disables_lists_what_it_disabled(
    alga: Run, app: Any, folder: Path, installed: dict[str, Any]
) -> None:
    schedule_id = make_schedule(app, installed)
    publish_next(alga, folder, "/other")

    said = done(alga("upgrade", NAME, "--tenant", "acme", "--disable-missing-schedules"))

    assert f"disabled  schedule {schedule_id}: no POST /sync" in said


def test_an_upgrade_to_where_it_is_says_so(alga: Run, installed: dict[str, Any]) -> None:
    assert "is at 1.0.0 for tenant acme already." in done(alga("upgrade", NAME, "--tenant", "acme"))


def test_an_upgrade_to_a_version_that_is_not_there_lists_those_that_are(
    alga: Run, installed: dict[str, Any]
) -> None:
    said = refused(alga("upgrade", NAME, "--tenant", "acme", "--version", "9.0.0"), "not_found")

    assert "hint: It has 1.0.0." in said


def test_installing_twice_is_refused(alga: Run, installed: dict[str, Any]) -> None:
    refused(alga("install", NAME, "--tenant", "acme"), "already_installed")


def test_what_the_manifest_does_not_declare_cannot_be_granted(alga: Run, published: dict[str, Any]) -> None:
    said = refused(alga("install", NAME, "--tenant", "acme", "--grant", "secrets.get"), "validation_failed")

    assert "Not declared by the extension's manifest: cap:secrets.get" in said


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (
            ["install", NAME, "--tenant", "acme", "--grant", "scheduler.mange"],
            "nearest known one is cap:scheduler",
        ),
        (["install", NAME, "--tenant", "a/../b"], "cannot be a tenant's id"),
        (["install", NAME, "--tenant", "acme", "--config", "novalue"], "is not NAME=VALUE"),
        (["install", NAME], "Missing option '--tenant'"),
        (["grant", NAME, "--tenant", "acme"], "Missing option '--cap'"),
        (["extensions", "--server", "localhost:8090"], "is not the URL of a server"),
        (["extensions", "--server", "ftp://localhost"], "is not the URL of a server"),
        (["extensions", "--server", "http://[::1"], "is not the URL of a server"),
        (["extensions", "--server", "http://admin:hunter2@localhost"], "tokens come from the environment"),
        (["nonsense"], "No such command"),
    ],
)
def test_bad_usage_has_status_2_and_says_what_is_wrong(alga: Run, arguments: list[str], said: str) -> None:
    result = alga(*arguments)

    assert result.exit_code == 2
    assert said in " ".join(result.stderr.split())
    assert "hunter2" not in result.output


# ---- Grants


def test_granting_adds_and_revoking_takes_away(alga: Run, installed: dict[str, Any]) -> None:
    both = document(alga("grant", NAME, "--tenant", "acme", "--cap", "storage.kv", "--json"))
    one = document(alga("revoke", NAME, "--tenant", "acme", "--cap", "scheduler.manage", "--json"))

    assert both["grants"] == ["cap:scheduler.manage", "cap:storage.kv"]
    assert one["grants"] == ["cap:storage.kv"]
    shown = done(alga("revoke", installed["installId"], "--tenant", "acme", "--cap", "storage.kv"))
    assert shown == f"{NAME} is granted nothing for tenant acme.\n"


def test_granting_twice_and_revoking_what_is_not_granted_are_fine(
    alga: Run, installed: dict[str, Any]
) -> None:
    for _ in range(2):
        done(alga("grant", NAME, "--tenant", "acme", "--cap", "storage.kv"))
    for _ in range(2):
        done(alga("revoke", NAME, "--tenant", "acme", "--cap", "storage.kv"))


def test_what_every_execution_has_cannot_be_revoked(alga: Run, installed: dict[str, Any]) -> None:
    result = alga("revoke", NAME, "--tenant", "acme", "--cap", "log.emit")

    assert result.exit_code == 0
    assert result.stderr == "hint: Every execution has cap:log.emit; that cannot be revoked.\n"


def test_granting_what_is_not_declared_changes_nothing(alga: Run, installed: dict[str, Any]) -> None:
    refused(
        alga("grant", NAME, "--tenant", "acme", "--cap", "storage.kv", "--cap", "secrets.get"),
        "validation_failed",
    )

    [install] = document(alga("installs", "--tenant", "acme", "--json"))["installs"]
    assert install["grants"] == ["cap:scheduler.manage"]


@pytest.mark.parametrize(
    "arguments",
    [
        ["grant", NAME, "--cap", "storage.kv"],
        ["revoke", NAME, "--cap", "storage.kv"],
        ["enable", NAME],
        ["disable", NAME],
        ["uninstall", NAME],
        ["schedules", "--install", NAME],
    ],
)
def test_another_tenant_s_install_is_not_found(
    alga: Run, installed: dict[str, Any], arguments: list[str]
) -> None:
    by_name = refused(alga(*arguments, "--tenant", "nobody"), "not_found")
    by_id = [installed["installId"] if each == NAME else each for each in arguments]

    assert "It has no installs at all; check --tenant." in by_name
    refused(alga(*by_id, "--tenant", "nobody"), "not_found")


# ---- Installs and schedules


def test_disabling_and_enabling_show_in_the_list(alga: Run, installed: dict[str, Any]) -> None:
    assert done(alga("disable", NAME, "--tenant", "acme")) == f"{NAME} is disabled for tenant acme.\n"
    assert "  disabled  " in done(alga("installs", "--tenant", "acme"))

    assert document(alga("enable", NAME, "--tenant", "acme", "--json"))["enabled"] is True


def add_schedule(app: Any, install: dict[str, Any], **members: Any) -> dict[str, Any]:
    async def create() -> dict[str, Any]:
        transport = httpx.ASGITransport(app)
        path = f"/api/admin/tenants/{install['tenantId']}/installs/{install['installId']}/schedules"
        async with httpx.AsyncClient(transport=transport, base_url="http://server") as client:
            made = await client.post(
                path,
                json={"endpoint": "/sync", "cron": "0 * * * *", **members},
                headers={"authorization": f"Bearer {TOKEN}"},
            )
        assert made.status_code == 201, made.text
        found: dict[str, Any] = made.json()
        return found

    return anyio.run(create)


def test_schedules_are_shown_with_their_next_run(alga: Run, app: Any, installed: dict[str, Any]) -> None:
    assert done(alga("schedules", "--tenant", "acme")) == "Tenant acme has no schedules.\n"
    add_schedule(app, installed, name="Hourly")
    nameless = add_schedule(app, installed, cron="30 2 * * *", timezone="Europe/Berlin", enabled=False)

    lines = done(alga("schedules", "--tenant", "acme")).splitlines()

    assert len(lines) == 3
    assert lines[1].split("  ")[0] == "Hourly"
    assert "POST /sync" in lines[1]
    assert "2026-01-01 01:00:00" in lines[1]
    assert lines[2].startswith(nameless["id"])
    assert "Europe/Berlin  disabled" in lines[2]


def test_schedules_of_one_install_only(alga: Run, app: Any, folder: Path, installed: dict[str, Any]) -> None:
    write_manifest(folder, name="com.example.other")
    alga("publish", str(folder))
    other = document(alga("install", "com.example.other", "--tenant", "acme", "--json"))
    add_schedule(app, installed, name="mine")
    add_schedule(app, other, name="other")

    every = document(alga("schedules", "--tenant", "acme", "--json"))["schedules"]
    one = document(alga("schedules", "--tenant", "acme", "--install", NAME, "--json"))["schedules"]

    assert sorted(each["name"] for each in every) == ["mine", "other"]
    assert [each["name"] for each in one] == ["mine"]


def test_schedules_of_a_tenant_nobody_knows_are_none(alga: Run, app: Any, installed: dict[str, Any]) -> None:
    add_schedule(app, installed)

    assert document(alga("schedules", "--tenant", "nobody", "--json")) == {"schedules": []}


def test_uninstalling_takes_the_schedules_along_and_says_how_many(
    alga: Run, app: Any, installed: dict[str, Any]
) -> None:
    add_schedule(app, installed)

    shown = done(alga("uninstall", NAME, "--tenant", "acme"))

    assert shown == f"Uninstalled {NAME} 1.0.0 from tenant acme, and 1 schedule with it.\n"
    assert done(alga("installs", "--tenant", "acme")) == "Tenant acme has no installs.\n"
    assert document(alga("schedules", "--tenant", "acme", "--json")) == {"schedules": []}


def test_what_a_terminal_would_obey_is_escaped(alga: Run, app: Any, installed: dict[str, Any]) -> None:
    add_schedule(app, installed, name="\x1b]0;owned\x07 \u202eevil")

    shown = done(alga("schedules", "--tenant", "acme"))

    assert "\\x1b]0;owned\\x07 \\u202eevil" in shown
    assert "\x1b" not in shown


# ---- Failures


@pytest.mark.parametrize("name", CLIENTS)
def test_a_server_that_is_down_is_one_sentence_with_its_url(alga: Run, name: str, folder: Path) -> None:
    def down(request: httpx.Request) -> httpx.Response:
        raise httpx.ConnectError("[Errno 111] Connection refused", request=request)

    arguments = [str(folder) if each == "." else each for each in ARGUMENTS.get(name, [])]
    result = alga(name, *arguments, "--server", "http://127.0.0.1:9", transport=httpx.MockTransport(down))

    said = refused(result, "server_unreachable")
    assert said.splitlines()[0].endswith("No server answers at http://127.0.0.1:9.")
    assert "hint: Start one with `alga-server serve --dev`" in said


def test_a_wrong_token_is_refused_with_the_variable_s_name(
    alga: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("ALGA_SERVER_ADMIN_TOKEN", "wrong-secret")

    said = refused(alga("extensions"), "unauthorized")

    assert "hint: ALGA_SERVER_ADMIN_TOKEN must be the token" in said
    assert "wrong-secret" not in said


@pytest.mark.parametrize(
    ("value", "code"), [(None, "token_missing"), (" ", "token_missing"), ("\u00e4", "token_invalid")]
)
def test_a_token_that_cannot_be_sent_is_named_before_anything_is(
    alga: Run, monkeypatch: pytest.MonkeyPatch, value: str | None, code: str
) -> None:
    if value is None:
        monkeypatch.delenv("ALGA_SERVER_ADMIN_TOKEN")
    else:
        monkeypatch.setenv("ALGA_SERVER_ADMIN_TOKEN", value)

    assert "ALGA_SERVER_ADMIN_TOKEN" in refused(alga("extensions", transport=unasked()), code)


def unasked() -> httpx.MockTransport:
    def fail(_: httpx.Request) -> httpx.Response:
        raise AssertionError("nothing should be sent")

    return httpx.MockTransport(fail)


@pytest.mark.parametrize(
    "response",
    [
        httpx.Response(200, text="<html>hello</html>"),
        httpx.Response(200, json=["a", "list"]),
        httpx.Response(404, text="404 page not found"),
        httpx.Response(302, headers={"location": "http://elsewhere"}),
        httpx.Response(500, json={"detail": "other"}),
    ],
)
def test_what_is_no_alga_server_is_said_to_be_none(alga: Run, response: httpx.Response) -> None:
    result = alga("extensions", transport=httpx.MockTransport(lambda _: response))

    assert f"(status {response.status_code})" in refused(result, "not_alga_server")


def test_a_server_that_does_not_answer_leaves_the_outcome_open(alga: Run, folder: Path) -> None:
    def slow(request: httpx.Request) -> httpx.Response:
        raise httpx.ReadTimeout("", request=request)

    said = refused(alga("publish", str(folder), transport=httpx.MockTransport(slow)), "server_timeout")

    assert "hint: The request may have been carried out" in said


def test_a_connection_that_breaks_is_a_sentence(alga: Run) -> None:
    def broken(request: httpx.Request) -> httpx.Response:
        raise httpx.RemoteProtocolError("Server disconnected without sending a response.", request=request)

    refused(alga("extensions", transport=httpx.MockTransport(broken)), "server_unreachable")


def test_field_errors_of_the_server_are_shown(alga: Run, installed: dict[str, Any]) -> None:
    body = {
        "error": "Validation error",
        "code": "validation_failed",
        "fieldErrors": {"grants": "Wrong\x1b[31m"},
    }
    result = alga(
        "installs",
        "--tenant",
        "acme",
        transport=httpx.MockTransport(lambda _: httpx.Response(400, json=body)),
    )

    assert refused(result, "validation_failed").splitlines()[1] == "  grants: Wrong\\x1b[31m"


def test_a_failure_is_a_document_too_when_json_is_wanted(alga: Run) -> None:
    result = alga("install", "nothing", "--tenant", "acme", "--json")

    refused(result, "not_found")
    error = json.loads(result.stdout)["error"]
    assert sorted(error) == ["code", "fieldErrors", "hint", "message"]
    assert error["code"] == "not_found"


def test_ctrl_c_ends_a_command_with_130(alga: Run) -> None:
    def interrupt(_: httpx.Request) -> httpx.Response:
        raise KeyboardInterrupt

    result = alga("extensions", transport=httpx.MockTransport(interrupt))

    assert (result.exit_code, result.output) == (130, "")


def test_a_fault_of_the_command_itself_is_a_sentence_too(alga: Run) -> None:
    def oops(_: httpx.Request) -> httpx.Response:
        raise ZeroDivisionError("oops")

    said = refused(alga("extensions", transport=httpx.MockTransport(oops)), "internal")

    assert "ZeroDivisionError: oops" in said
    assert "hint: This is a fault of alga-server; run it again as `alga-server --debug" in said


def test_debug_lets_the_exception_through(alga: Run) -> None:
    def oops(_: httpx.Request) -> httpx.Response:
        raise ZeroDivisionError("oops")

    assert isinstance(
        alga("--debug", "extensions", transport=httpx.MockTransport(oops)).exception, ZeroDivisionError
    )


# ---- Runs and the clock


SCHEDULE = "11111111-1111-1111-1111-111111111111"
INSTALL = "22222222-2222-2222-2222-222222222222"
RUN = {
    "id": "33333333-3333-3333-3333-333333333333",
    "scheduleId": SCHEDULE,
    "trigger": "schedule",
    "nominalTime": "2026-01-01T01:00:00",
    "dueAt": "2026-01-01T01:00:00.000Z",
    "attempt": 1,
    "status": "success",
    "reason": None,
    "missed": 0,
    "httpStatus": 200,
    "errorCode": None,
    "errorMessage": None,
    "requestId": "r",
    "startedAt": "2026-01-01T01:00:00.000Z",
    "finishedAt": "2026-01-01T01:00:00.012Z",
    "durationMs": 12,
}


def answering(asked: list[httpx.Request], **answers: tuple[int, Any]) -> httpx.MockTransport:
    """A server with one install and its one schedule; ``answers`` are by the last segment of the path."""
    install = {"installId": INSTALL, "extensionId": "e", "extensionName": NAME, "version": "1.0.0"}
    schedule = {"id": SCHEDULE, "name": "Hourly", "installId": INSTALL, "extensionName": NAME}
    usual = {"installs": (200, {"installs": [install]}), "schedules": (200, {"schedules": [schedule]})}

    def answer(request: httpx.Request) -> httpx.Response:
        asked.append(request)
        name = request.url.path.rpartition("/")[2].replace("-", "_")
        status, body = {**usual, **answers}[name]
        return httpx.Response(status, json=body)

    return httpx.MockTransport(answer)


def test_runs_are_shown_with_the_names_of_their_schedules(alga: Run) -> None:
    failed = {
        **RUN,
        "status": "error",
        "httpStatus": 500,
        "errorCode": "http_500",
        "errorMessage": "no\x1b[31m",
    }
    transport = answering([], runs=(200, {"runs": [failed, RUN], "cursor": None}))

    lines = done(alga("runs", "--tenant", "acme", transport=transport)).splitlines()

    assert lines[0].split()[:2] == ["DUE", "(UTC)"]
    assert all(each in lines[1] for each in ("2026-01-01 01:00:00", "Hourly", "error", "500", "12 ms"))
    assert lines[1].endswith("http_500: no\\x1b[31m")
    assert lines[2].endswith("-")


def test_a_run_of_a_schedule_that_is_gone_has_its_id(alga: Run) -> None:
    transport = answering([], runs=(200, {"runs": [RUN], "cursor": None}), schedules=(200, {"schedules": []}))

    [run] = document(alga("runs", "--tenant", "acme", "--json", transport=transport))["runs"]

    assert (run["scheduleName"], run["scheduleId"]) == (None, SCHEDULE)


@pytest.mark.parametrize("options", [[], ["--install", NAME], ["--schedule", "Hourly"]])
def test_no_runs_is_a_sentence(alga: Run, options: list[str]) -> None:
    transport = answering([], runs=(200, {"runs": [], "cursor": None}))

    assert done(alga("runs", "--tenant", "acme", *options, transport=transport)).startswith(
        "Tenant acme has no runs"
    )


def test_of_many_runs_the_newest_are_shown(alga: Run) -> None:
    older = {**RUN, "startedAt": "2026-01-01T00:00:00.000Z", "id": "older"}
    asked: list[httpx.Request] = []
    transport = answering(asked, runs=(200, {"runs": [older, RUN], "cursor": None}))

    found = document(alga("runs", "--tenant", "acme", "--limit", "1", "--json", transport=transport))["runs"]

    assert [each["id"] for each in found] == [RUN["id"]]
    assert {each.url.params.get("limit") for each in asked if each.url.path.endswith("/runs")} == {"1"}


def test_run_now_says_how_it_ended(alga: Run) -> None:
    asked: list[httpx.Request] = []

    shown = done(
        alga("run-now", "Hourly", "--tenant", "acme", transport=answering(asked, run_now=(200, RUN)))
    )

    assert shown == "Hourly ended with success (HTTP 200) after 12 ms.\n"
    assert asked[-1].url.path == f"/api/admin/tenants/acme/installs/{INSTALL}/schedules/{SCHEDULE}/run-now"
    assert asked[-1].url.params["wait"] == "true"


def test_run_now_need_not_wait(alga: Run) -> None:
    asked: list[httpx.Request] = []
    running = {**RUN, "status": "running", "httpStatus": None, "finishedAt": None, "durationMs": None}

    shown = done(
        alga(
            "run-now",
            SCHEDULE,
            "--tenant",
            "acme",
            "--no-wait",
            transport=answering(asked, run_now=(202, running)),
        )
    )

    assert shown == "Hourly is running since 2026-01-01T01:00:00.000Z.\n"
    assert asked[-1].url.params["wait"] == "false"


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        (
            {"status": "skipped", "reason": "overlap", "httpStatus": None, "durationMs": 0},
            "Hourly was skipped: overlap.\n",
        ),
        (
            {
                "status": "error",
                "httpStatus": None,
                "errorCode": "runner_unavailable",
                "errorMessage": "It is down",
            },
            "Hourly ended with error after 12 ms: runner_unavailable: It is down.\n",
        ),
    ],
)
def test_a_run_without_success_has_status_1(alga: Run, changes: dict[str, Any], said: str) -> None:
    result = alga(
        "run-now", "Hourly", "--tenant", "acme", transport=answering([], run_now=(200, {**RUN, **changes}))
    )

    assert (result.exit_code, result.stdout, result.stderr) == (1, said, "")


@pytest.mark.parametrize(
    ("schedules", "code"),
    [([], "not_found"), ([{"id": "a", "name": "Hourly"}, {"id": "b", "name": "Hourly"}], "ambiguous")],
)
def test_a_schedule_must_be_exactly_one(alga: Run, schedules: list[dict[str, Any]], code: str) -> None:
    each = {"installId": INSTALL, "extensionName": NAME}
    transport = answering([], schedules=(200, {"schedules": [{**each, **one} for one in schedules]}))

    refused(alga("run-now", "Hourly", "--tenant", "acme", transport=transport), code)


def test_the_clock_is_shown(alga: Run) -> None:
    transport = answering([], clock=(200, {"now": "2026-01-01T00:00:00.000Z"}))

    assert done(alga("clock", transport=transport)) == "It is 2026-01-01T00:00:00.000Z.\n"


def test_a_move_shows_what_fired_on_the_way(alga: Run) -> None:
    asked: list[httpx.Request] = []
    journey = {"now": "2026-01-01T06:00:00.000Z", "fired": [RUN], "arrived": False}

    result = alga("clock", "--advance", "1d12h30m", transport=answering(asked, clock=(200, journey)))

    assert result.exit_code == 0
    assert result.stdout.startswith("It is 2026-01-01T06:00:00.000Z.\n\nDUE (UTC)")
    assert "repeat the command to continue" in result.stderr
    assert json.loads(asked[-1].content) == {"advance": {"days": 1, "hours": 12, "minutes": 30}}


@pytest.mark.parametrize(
    ("typed", "sent"),
    [
        ("2026-03-29T02:30:00+01:00", "2026-03-29T02:30:00+01:00"),
        ("2026-03-29T02:30:00Z", "2026-03-29T02:30:00+00:00"),
        ("2026-03-29 02:30", "2026-03-29T02:30:00+00:00"),
    ],
)
def test_an_instant_is_utc_unless_it_says_otherwise(alga: Run, typed: str, sent: str) -> None:
    asked: list[httpx.Request] = []
    journey = {"now": sent, "fired": [], "arrived": True}

    done(alga("clock", "--to", typed, transport=answering(asked, clock=(200, journey))))

    assert json.loads(asked[-1].content) == {"to": sent}


@pytest.mark.parametrize(
    "options",
    [
        ["--advance", "6"],
        ["--advance", "6x"],
        ["--advance", "-6h"],
        ["--advance", "1h1h"],
        ["--advance", ""],
        ["--to", "soon"],
        ["--advance", "6h", "--to", "2026-01-01"],
    ],
)
def test_a_move_that_means_nothing_is_bad_usage(alga: Run, options: list[str]) -> None:
    assert alga("clock", *options, transport=unasked()).exit_code == 2


def test_a_server_whose_clock_is_fixed_says_how_to_start_another(alga: Run) -> None:
    assert "alga-server serve --dev" in refused(alga("clock", "--advance", "6h"), "clock_fixed")


# ---- Reconciling


def wrong(*, healed: bool) -> dict[str, Any]:
    one = {"discrepancy": "not_scheduled", "tenantId": "acme", "installId": INSTALL, "scheduleId": SCHEDULE}
    return {"examined": 2, "discrepancies": [{**one, "runId": None, "healed": healed}]}


def test_reconciling_a_server_of_which_nothing_is_wrong(alga: Run) -> None:
    assert done(alga("reconcile")) == "0 schedules, nothing wrong.\n"
    assert done(alga("reconcile", "--check")) == "0 schedules, nothing wrong.\n"


def test_reconciling_lists_what_was_healed(alga: Run) -> None:
    asked: list[httpx.Request] = []
    transport = answering(asked, reconciliation=(200, wrong(healed=True)))

    shown = done(alga("reconcile", transport=transport))

    assert [each.method for each in asked] == ["POST"]
    assert shown.splitlines()[1].split("  ")[-2:] == ["not scheduled", "healed"]


def test_checking_changes_nothing_and_has_status_1_where_something_is_wrong(alga: Run) -> None:
    asked: list[httpx.Request] = []
    transport = answering(asked, reconciliation=(200, wrong(healed=False)))

    result = alga("reconcile", "--check", transport=transport)

    assert [each.method for each in asked] == ["GET"]
    assert (result.exit_code, SCHEDULE in result.stdout) == (1, True)
