"""What ``alga-server serve`` makes of its options, its tokens and its log, without a socket."""

from __future__ import annotations

import io
import json
import logging
import os
import socket
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner, Result

from alga_common.cli.failures import Failure
from alga_common.logging import JsonLines, TextLines
from alga_common.private_files import exposure
from alga_server import ServerSettings
from alga_server.cli import main, serving
from alga_server.cli.serving import listen, url_of
from alga_server.cli.tokens import TOKENS, random_tokens, read_tokens
from alga_server.storage.sqlite import sqlite_file

Serve = Callable[..., Result]


@pytest.fixture
def started(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> list[ServerSettings]:
    """The settings of every server that would have been run; each reports that it is ready and ends."""
    settings: list[ServerSettings] = []

    def run(given: ServerSettings, _listener: socket.socket, *, ready: Callable[[], None], **_: Any) -> int:
        settings.append(given)
        ready()
        return 0

    monkeypatch.setattr(serving, "serve_until_signal", run)
    for name in ("DATABASE_URL", "BUNDLE_STORE", "RUNNER_URL", "DEVELOPMENT"):
        monkeypatch.delenv(f"ALGA_SERVER_{name}", raising=False)
    for variable in TOKENS.values():
        monkeypatch.delenv(variable, raising=False)
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "state"))
    return settings


@pytest.fixture
def serve(started: list[ServerSettings]) -> Serve:
    def call(*arguments: str, **options: Any) -> Result:
        return CliRunner().invoke(main, ["serve", "--port", "0", *arguments], **options)

    return call


@pytest.fixture(autouse=True)
def _log_as_it_was() -> Any:
    root = logging.getLogger()
    handlers, level, own = root.handlers[:], root.level, logging.getLogger("alga_server").level
    yield
    root.handlers[:] = handlers
    root.setLevel(level)
    logging.getLogger("alga_server").setLevel(own)


def secret(settings: ServerSettings, name: str) -> str | None:
    value = getattr(settings, name)
    return None if value is None else str(value.get_secret_value())


def test_options_become_settings(serve: Serve, started: list[ServerSettings], tmp_path: Path) -> None:
    result = serve(
        "--database", "alga.db", "--bundle-store", str(tmp_path / "b"), "--runner-url", "http://runner:1"
    )

    assert result.exit_code == 0, result.output
    [settings] = started
    assert settings.database_url == "sqlite:///alga.db"
    assert settings.bundle_store == tmp_path / "b"
    assert settings.runner_url == "http://runner:1"
    assert settings.development is False


def test_a_database_can_be_a_url(serve: Serve, started: list[ServerSettings]) -> None:
    serve("--database", "sqlite://")

    assert started[0].database_url == "sqlite://"


@pytest.mark.parametrize(
    ("typed", "url"),
    [
        ("job%2Fbranch/a.db", "sqlite:///job%252Fbranch/a.db"),
        ("a?b#c d.db", "sqlite:///a%3Fb%23c%20d.db"),
        ("file:a.db", "sqlite:///file%3Aa.db"),
        ("./a://b", "sqlite:///a%3A/b"),
        ("a\udcff.db", "sqlite:///a%FF.db"),
        (":memory:", "sqlite://"),
    ],
)
def test_a_file_of_any_name_is_exactly_that_file(
    serve: Serve, started: list[ServerSettings], typed: str, url: str
) -> None:
    serve("--database", typed)

    assert started[0].database_url == url
    assert sqlite_file(url) == (None if typed == ":memory:" else Path(typed).absolute())


def test_an_empty_name_is_no_database(serve: Serve, started: list[ServerSettings]) -> None:
    result = serve("--database", "")

    assert (result.exit_code, started) == (2, [])
    assert "an empty text names no database" in result.stderr


def test_an_option_goes_before_the_environment(
    serve: Serve, started: list[ServerSettings], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("ALGA_SERVER_DATABASE_URL", "sqlite:///environment.db")
    monkeypatch.setenv("ALGA_SERVER_RUNNER_URL", "http://environment")

    serve("--runner-url", "http://option")

    assert (started[0].database_url, started[0].runner_url) == ("sqlite:///environment.db", "http://option")


def test_without_a_database_it_does_not_start(serve: Serve, started: list[ServerSettings]) -> None:
    result = serve()

    assert result.exit_code == 2
    assert "Name the database, such as --database alga.db" in result.stderr
    assert started == []


def test_one_line_says_where_it_listens(serve: Serve) -> None:
    lines = serve("--database", "sqlite://").stdout.splitlines()

    assert len(lines) == 1
    assert lines[0].startswith("alga-server listening on http://127.0.0.1:")


@pytest.mark.parametrize("arguments", [["--port", "65536"], ["--port", "x"], ["--runner-url", "runner:8080"]])
def test_bad_usage_has_status_2(serve: Serve, arguments: list[str]) -> None:
    assert serve("--dev", *arguments).exit_code == 2


def test_a_setting_that_cannot_be_used_is_a_sentence(serve: Serve, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ALGA_SERVER_DATABASE_THREADS", "many")

    result = serve("--dev")

    assert result.exit_code == 1
    assert result.stderr.startswith(
        "error[settings_invalid]: The setting database_threads (ALGA_SERVER_DATABASE_THREADS) cannot be used"
    )


def test_the_file_of_seed_data_becomes_a_setting(
    serve: Serve, started: list[ServerSettings], tmp_path: Path
) -> None:
    result = serve("--dev", "--seed-data", str(tmp_path / "seed.yaml"))

    assert result.exit_code == 0, result.output
    assert started[0].seed_data == tmp_path / "seed.yaml"


def exports(result: Result) -> dict[str, str]:
    assert result.exit_code == 0, result.output
    lines = [
        line.removeprefix("export ") for line in result.stdout.splitlines() if line.startswith("export ")
    ]
    return dict(line.split("=", 1) for line in lines)


def test_dev_makes_the_tokens_that_are_missing_and_prints_them_once(
    serve: Serve, started: list[ServerSettings]
) -> None:
    result = serve("--dev")

    [settings] = started
    shown = exports(result)
    assert shown["ALGA_SERVER_ADMIN_TOKEN"] == secret(settings, "admin_token")
    assert shown["ALGA_SERVER_GATEWAY_TOKEN"] == secret(settings, "gateway_token")
    assert shown["RUNNER_STORAGE_API_TOKEN"] == secret(settings, "runner_token")
    assert shown["UI_PROXY_AUTH_KEY"] == shown["ALGA_AUTH_KEY"] == secret(settings, "runner_token")
    assert shown["UI_PROXY_BASE_URL"] == shown["ALGA_SERVER_URL"] + "/api/ui-proxy"
    assert shown["RUNNER_SERVICE_TOKEN"] == secret(settings, "runner_service_token")
    assert shown["STORAGE_API_BASE_URL"] == shown["REGISTRY_BASE_URL"] == shown["ALGA_SERVER_URL"]
    assert shown["ALGA_RUNNER_SERVER_DIALECT"] == "prd"
    assert shown["BUNDLE_STORE_BASE"] == str(settings.bundle_store)
    assert settings.development is True
    for name in TOKENS:
        names = 3 if name == "runner_token" else 1
        assert result.output.count(secret(settings, name) or "") == names


def test_dev_prints_no_token_that_was_given(
    serve: Serve, started: list[ServerSettings], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("ALGA_SERVER_ADMIN_TOKEN", "my-own-admin-token")

    result = serve("--dev")

    assert secret(started[0], "admin_token") == "my-own-admin-token"
    assert "my-own-admin-token" not in result.output
    assert "ALGA_SERVER_ADMIN_TOKEN" not in exports(result)


def test_random_tokens_are_long_and_never_the_same() -> None:
    tokens = [*random_tokens().values(), *random_tokens().values()]

    assert len(set(tokens)) == 2 * len(TOKENS)
    assert min(map(len, tokens)) >= 32


def test_starts_of_one_user_have_the_same_tokens_which_nobody_else_can_read(
    serve: Serve, started: list[ServerSettings], tmp_path: Path
) -> None:
    serve("--dev")
    serve("--dev")

    assert len({tuple(secret(settings, name) for name in TOKENS) for settings in started}) == 1
    file = tmp_path / "state" / "alga-server" / "tokens.env"
    assert [path.stat().st_mode & 0o777 for path in (file, file.parent)] == [0o600, 0o700]


def test_one_line_sets_the_environment_of_the_server_that_runs(
    serve: Serve, started: list[ServerSettings]
) -> None:
    port = unused_port()
    result = CliRunner().invoke(main, ["serve", "--dev", "--port", str(port), "--print-env"])
    serve("--dev", "--port", str(port))

    shown = shell(result.stdout)
    [settings] = started
    assert shown["ALGA_SERVER_URL"] == f"http://127.0.0.1:{port}"
    assert shown["ALGA_SERVER_ADMIN_TOKEN"] == secret(settings, "admin_token")
    assert shown["RUNNER_SERVICE_TOKEN"] == secret(settings, "runner_service_token")
    assert shown["BUNDLE_STORE_BASE"] == str(settings.bundle_store)


def test_a_runner_finds_the_folder_of_bundles_before_the_server_started(
    started: list[ServerSettings],
) -> None:
    result = CliRunner().invoke(main, ["serve", "--dev", "--port", "8090", "--print-env"])

    folder = Path(shell(result.stdout)["BUNDLE_STORE_BASE"])
    assert folder.is_dir()
    assert exposure(folder) is None


def test_a_development_server_does_not_warn_of_its_own_folder(
    serve: Serve, started: list[ServerSettings], monkeypatch: pytest.MonkeyPatch
) -> None:
    exposed: list[str | None] = []
    run = serving.serve_until_signal

    def look(settings: ServerSettings, *arguments: Any, **options: Any) -> int:
        assert settings.bundle_store is not None
        exposed.append(exposure(settings.bundle_store))
        return run(settings, *arguments, **options)

    monkeypatch.setattr(serving, "serve_until_signal", look)

    serve("--dev")

    assert exposed == [None]


def test_exports_are_quoted_for_a_shell(serve: Serve, tmp_path: Path) -> None:
    awkward = tmp_path / 'it\'s $(touch x) "here"'

    result = serve("--dev", "--bundle-store", str(awkward))

    lines = [line for line in result.stdout.splitlines() if line.startswith("export ")]
    assert shell("\n".join(lines))["BUNDLE_STORE_BASE"] == str(awkward)
    assert not Path("x").exists()


def test_where_no_token_can_be_kept_a_start_has_its_own(
    serve: Serve, started: list[ServerSettings], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "file").touch()
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "file"))

    result = serve("--dev")
    asked = CliRunner().invoke(main, ["serve", "--dev", "--print-env"])

    assert result.exit_code == 0
    assert "The tokens of this start are its own" in result.stderr
    assert secret(started[0], "admin_token")
    assert (asked.exit_code, asked.stderr.split(":")[0]) == (1, "error[state_unusable]")


@pytest.mark.parametrize("arguments", [["--print-env"], ["--dev", "--print-env", "--port", "0"]])
def test_an_environment_is_printed_for_a_known_development_server(arguments: list[str]) -> None:
    assert CliRunner().invoke(main, ["serve", *arguments]).exit_code == 2


def shell(lines: str) -> dict[str, str]:
    """The environment of a real shell after it evaluated ``lines``."""
    script = f"{lines}\nenv -0"
    ended = subprocess.run(
        ["sh", "-c", script], capture_output=True, check=True, env={"PATH": os.environ["PATH"]}
    )
    return dict(item.split("=", 1) for item in ended.stdout.decode().split("\0") if item)


def unused_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port: int = listener.getsockname()[1]
        return port


def test_dev_leaves_no_folder_behind(serve: Serve, started: list[ServerSettings]) -> None:
    serve("--dev")

    assert started[0].bundle_store is not None
    assert not started[0].bundle_store.exists()


def test_dev_can_say_it_in_json(serve: Serve) -> None:
    shown = json.loads(serve("--dev", "--json").stdout)

    assert shown["url"] == shown["environment"]["ALGA_SERVER_URL"]


@pytest.mark.parametrize("host", ["0.0.0.0", "::", "192.0.2.1", "alga.example"])
def test_dev_is_for_loopback_only(serve: Serve, started: list[ServerSettings], host: str) -> None:
    result = serve("--dev", "--host", host)

    assert result.exit_code == 2
    assert "--dev listens on loopback only" in result.stderr
    assert started == []


def test_without_dev_no_token_is_made_up(serve: Serve, started: list[ServerSettings]) -> None:
    result = serve("--database", "sqlite://")

    assert [secret(started[0], name) for name in TOKENS] == [None] * len(TOKENS)
    assert "export" not in result.stdout


def actions(log: str) -> list[str]:
    """What the log's lines are about, in order."""
    return [json.loads(line)["action"] for line in log.splitlines()]


def test_a_token_file_goes_before_the_environment(
    serve: Serve, started: list[ServerSettings], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("ALGA_SERVER_ADMIN_TOKEN", "of-the-environment")
    monkeypatch.setenv("ALGA_SERVER_RUNNER_TOKEN", "of-the-environment")
    file = tmp_path / "tokens.env"
    file.write_text(
        "# tokens\n\nALGA_SERVER_ADMIN_TOKEN=of=the=file\nexport ALGA_SERVER_GATEWAY_TOKEN='quoted'\n"
    )
    file.chmod(0o600)

    result = serve("--database", "sqlite://", "--token-file", str(file))

    assert (result.exit_code, actions(result.stderr)) == (0, ["program_started", "program_stopped"])
    names = ("admin_token", "gateway_token", "runner_token")
    assert [secret(started[0], name) for name in names] == ["of=the=file", "quoted", "of-the-environment"]


@pytest.mark.parametrize(
    ("content", "why"),
    [
        (b"ALGA_SERVER_ADMIN=x", "names no token in line 1"),
        (b"# fine\nALGA_SERVER_DATABASE_URL=sqlite://", "names no token in line 2"),
        (b"hunter2", "names no token in line 1"),
        (b"\xff\xfe", "is not UTF-8"),
    ],
)
def test_a_bad_token_file_is_refused_without_quoting_it(tmp_path: Path, content: bytes, why: str) -> None:
    file = tmp_path / "tokens.env"
    file.write_bytes(content)
    file.chmod(0o600)

    with pytest.raises(Failure, match=why) as refused:
        read_tokens(file)

    assert refused.value.code == "token_file_unusable"
    assert "hunter2" not in str(refused.value)


def test_a_token_file_that_is_not_there_is_a_sentence(serve: Serve, tmp_path: Path) -> None:
    result = serve("--dev", "--token-file", str(tmp_path / "nothing"))

    assert result.exit_code == 1
    assert "cannot be read: No such file or directory." in result.stderr


def test_a_token_file_for_everyone_to_read_is_pointed_out(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    file = tmp_path / "tokens.env"
    file.write_text("ALGA_SERVER_ADMIN_TOKEN=x\n")
    file.chmod(0o644)

    read_tokens(file)

    assert f"chmod 600 {file}" in capsys.readouterr().err


def test_port_0_takes_a_free_one() -> None:
    with listen("127.0.0.1", 0) as one, listen("127.0.0.1", 0) as other:
        assert url_of(one) != url_of(other)
        assert url_of(one).startswith("http://127.0.0.1:")


def test_a_listener_names_its_protocol_so_that_asyncio_sends_small_answers_at_once() -> None:
    with listen("127.0.0.1", 0) as listener:
        assert listener.proto == socket.IPPROTO_TCP


def test_a_url_of_ipv6_has_brackets() -> None:
    if not socket.has_ipv6:
        pytest.skip("this machine has no IPv6")
    try:
        listener = listen("::1", 0)
    except Failure:
        pytest.skip("this machine has no IPv6 loopback")
    with listener:
        assert url_of(listener).startswith("http://[::1]:")


def test_a_port_in_use_is_a_sentence() -> None:
    with listen("127.0.0.1", 0) as taken:
        port = taken.getsockname()[1]
        with pytest.raises(Failure, match=f"Something else listens on 127.0.0.1, port {port}.") as refused:
            listen("127.0.0.1", port)

    assert refused.value.code == "port_in_use"


@pytest.mark.parametrize("host", ["192.0.2.1", "no-such-host.invalid"])
def test_an_address_that_is_not_this_machine_s_is_a_sentence(host: str) -> None:
    with pytest.raises(Failure) as refused:
        listen(host, 0)

    assert refused.value.code == "cannot_listen"


def record(message: str, **extra: Any) -> logging.LogRecord:
    made = logging.makeLogRecord(
        {"name": "alga_server", "levelno": 30, "levelname": "WARNING", "msg": message}
    )
    vars(made).update(extra, created=1_767_225_600.9996, msecs=999.6)
    return made


def test_a_line_for_machines_carries_its_fields() -> None:
    line = JsonLines().format(record("No token", action="token_missing", tenant_id=None, path=Path("/x")))

    assert json.loads(line) == {
        "time": "2026-01-01T00:00:00.999Z",
        "level": "warning",
        "logger": "alga_server",
        "message": "No token",
        "action": "token_missing",
        "path": "/x",
    }


def test_a_line_for_machines_is_one_line_even_with_a_traceback() -> None:
    try:
        int("a\nb")
    except ValueError:
        failed = record("It\nfailed", exc_info=sys.exc_info())

    line = JsonLines().format(failed)

    assert "\n" not in line
    assert "ValueError: invalid literal" in json.loads(line)["exception"]


def test_a_sentence_for_a_person_escapes_what_a_terminal_would_obey() -> None:
    assert TextLines().format(record("a\x1b[31m")) == "00:00:00 warning  a\\x1b[31m"


def test_a_log_that_is_piped_is_json(serve: Serve, monkeypatch: pytest.MonkeyPatch) -> None:
    stream = io.StringIO()

    def run(*_: Any, **__: Any) -> int:
        logging.getLogger().handlers[0].stream = stream  # type: ignore[attr-defined]
        logging.getLogger("alga_server").info("hello", extra={"action": "greet"})
        return 0

    monkeypatch.setattr(serving, "serve_until_signal", run)
    serve("--dev")

    assert json.loads(stream.getvalue())["action"] == "greet"
