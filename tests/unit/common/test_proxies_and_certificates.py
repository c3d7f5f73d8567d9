"""Proxies and certificates of the environment: one that cannot be used is named by its variable."""

from __future__ import annotations

import logging
import ssl
from collections.abc import Callable
from pathlib import Path

import certifi
import pytest
from click.testing import CliRunner
from pydantic import SecretStr

from alga_common.environment import EnvironmentFault
from alga_common.http.proxies import environment_proxy, warn_of_unused_proxy
from alga_common.http.tls import tls_context
from alga_runner.alga.http import connect
from alga_runner.errors import SettingsError
from alga_runner.settings import Settings
from alga_runner.testing import Alga
from alga_server.cli import main
from alga_server.execution.runner_client import RunnerClient
from alga_server.settings import ServerSettings

SERVER = "https://alga.example"
NAMES = ("http_proxy", "https_proxy", "all_proxy", "no_proxy")


@pytest.fixture(autouse=True)
def _bare_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in (*NAMES, *map(str.upper, NAMES), "SSL_CERT_FILE", "SSL_CERT_DIR", "SSLKEYLOGFILE"):
        monkeypatch.delenv(name, raising=False)


@pytest.fixture
def set_all(monkeypatch: pytest.MonkeyPatch) -> Callable[[dict[str, str]], None]:
    def set_variables(variables: dict[str, str]) -> None:
        for name, value in variables.items():
            monkeypatch.setenv(name, value)

    return set_variables


@pytest.mark.parametrize(
    ("url", "variables", "used"),
    [
        (SERVER, {}, None),
        (SERVER, {"HTTPS_PROXY": "http://p:3128"}, "HTTPS_PROXY"),
        (SERVER, {"HTTPS_PROXY": "p:3128"}, "HTTPS_PROXY"),
        (SERVER, {"HTTP_PROXY": "http://p:3128"}, None),
        ("http://alga.example", {"HTTP_PROXY": "http://p:3128"}, "HTTP_PROXY"),
        (SERVER, {"ALL_PROXY": "http://p:3128"}, "ALL_PROXY"),
        (SERVER, {"ALL_PROXY": "http://p:1", "HTTPS_PROXY": "http://p:2"}, "HTTPS_PROXY"),
        (SERVER, {"https_proxy": "http://p:1", "HTTPS_PROXY": "http://p:2"}, "https_proxy"),
        (SERVER, {"https_proxy": "", "HTTPS_PROXY": " ", "ALL_PROXY": "http://p:2"}, "ALL_PROXY"),
        ("http://127.0.0.1:8090", {"ALL_PROXY": "http://p:3128"}, None),
        ("http://localhost:8090", {"ALL_PROXY": "http://p:3128"}, None),
    ],
)
def test_the_first_variable_that_is_set_for_the_url_names_the_proxy(
    url: str, variables: dict[str, str], used: str | None, set_all: Callable[[dict[str, str]], None]
) -> None:
    set_all(variables)

    proxy = environment_proxy(url)

    assert (proxy.variable if proxy else None) == used
    assert proxy is None or proxy.url.host == "p"


@pytest.mark.parametrize(
    ("entries", "url", "excepted"),
    [
        ("*", SERVER, True),
        ("alga.example", SERVER, True),
        ("example", SERVER, True),
        (".example", SERVER, True),
        ("*.example", SERVER, True),
        ("ga.example", SERVER, False),
        ("other, ALGA.example.", SERVER, True),
        ("alga.example:443", SERVER, True),
        ("alga.example:8443", SERVER, False),
        ("https://alga.example", SERVER, True),
        ("10.0.0.0/8", "https://10.2.3.4", True),
        ("10.0.0.0/8", "https://11.2.3.4", False),
        ("10.0.0.0/8,::1,fe80::/10", SERVER, False),
        ("[2001:db8::1]", "https://[2001:db8::1]:8443", True),
        ("http://[, alga.example", SERVER, True),
        ("", SERVER, False),
    ],
)
def test_no_proxy_lists_hosts_domains_addresses_and_networks(
    entries: str, url: str, excepted: bool, set_all: Callable[[dict[str, str]], None]
) -> None:
    set_all({"HTTPS_PROXY": "http://p:3128", "NO_PROXY": entries})

    assert (environment_proxy(url) is None) == excepted


BAD_PROXIES = [
    ({"HTTPS_PROXY": "http://user:hunter2@"}, "HTTPS_PROXY names no proxy that can be used."),
    ({"HTTPS_PROXY": "http://user:hunter2@p:port"}, "HTTPS_PROXY names no proxy that can be used."),
    ({"https_proxy": "ftp://user:hunter2@p"}, "https_proxy names no proxy that can be used."),
    ({"ALL_PROXY": "http://[hunter2"}, "ALL_PROXY names no proxy that can be used."),
    (
        {"ALL_PROXY": "socks5://user:hunter2@p:1080"},
        "ALL_PROXY names a SOCKS proxy, and the package socksio is not",
    ),
    (
        {"ALL_PROXY": "http://p", "NO_PROXY": "a.test,[hunter2"},
        "Entry 2 of NO_PROXY is not a host, a domain, an",
    ),
    (
        {"ALL_PROXY": "http://p", "no_proxy": "192.168.*"},
        "Entry 1 of no_proxy is not a host, a domain, an address",
    ),
]


@pytest.mark.parametrize(("variables", "sentence"), BAD_PROXIES)
def test_an_admin_s_command_names_the_variable_of_a_proxy_that_cannot_be_used(
    variables: dict[str, str], sentence: str, set_all: Callable[[dict[str, str]], None]
) -> None:
    set_all({"ALGA_SERVER_ADMIN_TOKEN": "token", **variables})

    result = CliRunner().invoke(main, ["extensions", "--server", SERVER])

    assert result.exit_code == 1
    assert result.stderr.startswith(f"error[settings_invalid]: {sentence}")
    assert "\nhint: " in result.stderr
    assert "hunter2" not in result.output


def test_a_proxy_that_does_not_answer_is_named_by_its_variable(
    set_all: Callable[[dict[str, str]], None],
) -> None:
    set_all({"ALGA_SERVER_ADMIN_TOKEN": "token", "HTTPS_PROXY": "http://user:hunter2@127.0.0.1:1"})

    result = CliRunner().invoke(main, ["extensions", "--server", SERVER])

    assert f"No server answers at {SERVER} through the proxy of HTTPS_PROXY." in result.stderr
    assert "hunter2" not in result.output


@pytest.mark.parametrize(
    ("url", "variables", "warned"),
    [
        (SERVER, {"HTTPS_PROXY": "http://user:hunter2@p:3128"}, "HTTPS_PROXY"),
        (SERVER, {"ALL_PROXY": "socks5://hunter2"}, "ALL_PROXY"),
        (SERVER, {"HTTPS_PROXY": "http://p", "NO_PROXY": "[hunter2"}, "HTTPS_PROXY"),
        (SERVER, {"HTTPS_PROXY": "http://p", "NO_PROXY": "alga.example"}, None),
        ("http://127.0.0.1:1", {"ALL_PROXY": "http://p"}, None),
        ("http://p:port", {"ALL_PROXY": "http://p"}, None),
        (None, {"ALL_PROXY": "http://p"}, None),
    ],
)
def test_a_proxy_that_a_program_does_not_use_is_a_warning(
    url: str | None,
    variables: dict[str, str],
    warned: str | None,
    set_all: Callable[[dict[str, str]], None],
    caplog: pytest.LogCaptureFixture,
) -> None:
    set_all(variables)

    warn_of_unused_proxy(logging.getLogger("alga_runner"), "the Alga server", url)

    messages = [record.getMessage() for record in caplog.records]
    assert messages == (
        [f"Ignored: {warned} is set, and connections to the Alga server are made without a proxy"]
        if warned
        else []
    )


def bad_certificates(folder: Path) -> list[tuple[dict[str, str], str]]:
    (folder / "empty.pem").touch()
    (folder / "folder").mkdir(exist_ok=True)
    return [
        (
            {"SSL_CERT_FILE": f"{folder}/nothing.pem"},
            "SSL_CERT_FILE names {}/nothing.pem, which cannot be read: ",
        ),
        ({"SSL_CERT_FILE": f"{folder}"}, "SSL_CERT_FILE names {}, which cannot be read: Is a directory."),
        (
            {"SSL_CERT_FILE": f"{folder}/empty.pem"},
            "SSL_CERT_FILE names {}/empty.pem, which holds no certificate.",
        ),
        (
            {"SSL_CERT_DIR": f"{folder}/nothing"},
            "SSL_CERT_DIR names {}/nothing, which cannot be read: No such file",
        ),
        (
            {"SSL_CERT_DIR": f"{folder}/folder"},
            "SSL_CERT_DIR names {}/folder, which has no certificate under ",
        ),
        (
            {"SSLKEYLOGFILE": f"{folder}/no/log"},
            "SSLKEYLOGFILE names a file that cannot be written: No such file",
        ),
    ]


@pytest.mark.parametrize("number", range(6))
def test_certificates_that_cannot_be_used_are_refused_by_every_client(
    number: int, tmp_path: Path, set_all: Callable[[dict[str, str]], None]
) -> None:
    variables, sentence = bad_certificates(tmp_path)[number]
    sentence = sentence.format(tmp_path)
    set_all({"ALGA_SERVER_ADMIN_TOKEN": "token", **variables})
    runner = Settings(server_url=SERVER, server_token=SecretStr("token"))
    server = ServerSettings(runner_url="https://runner.example")

    with pytest.raises(SettingsError) as from_runner:
        connect(runner)
    with pytest.raises(SettingsError) as from_server:
        RunnerClient(server)
    command = CliRunner().invoke(main, ["extensions", "--server", SERVER])

    assert str(from_runner.value).startswith(sentence)
    assert str(from_server.value).startswith(sentence)
    assert command.stderr.startswith(f"error[settings_invalid]: {sentence}")


def test_without_tls_no_certificates_are_needed(set_all: Callable[[dict[str, str]], None]) -> None:
    set_all({"ALGA_SERVER_ADMIN_TOKEN": "token", "SSL_CERT_FILE": "/nothing", "SSL_CERT_DIR": "/nothing"})
    connect(Settings(server_url="http://alga.example", server_token=SecretStr("token")))
    RunnerClient(ServerSettings())

    result = CliRunner().invoke(main, ["extensions", "--server", "http://127.0.0.1:1"])

    assert result.stderr.startswith("error[server_unreachable]: ")


def test_the_certificates_of_the_environment_are_the_ones_that_count(
    tmp_path: Path, set_all: Callable[[dict[str, str]], None]
) -> None:
    everyone = len(tls_context().get_ca_certs())
    first = Path(certifi.where()).read_text().partition("-----END CERTIFICATE-----")
    file = tmp_path / "own.pem"
    file.write_text(first[0] + first[1])
    set_all({"SSL_CERT_FILE": str(file), "SSL_CERT_DIR": "/nothing"})

    context = tls_context()

    assert len(context.get_ca_certs()) == 1 < everyone
    assert context.verify_mode == ssl.CERT_REQUIRED
    assert context.check_hostname

    set_all({"SSL_CERT_FILE": "", "SSL_CERT_DIR": " "})
    assert len(tls_context().get_ca_certs()) == everyone


def test_the_harness_asks_no_one_outside(
    request: pytest.FixtureRequest, set_all: Callable[[dict[str, str]], None]
) -> None:
    set_all({"ALL_PROXY": "socks5://hunter2", "NO_PROXY": "[", "SSL_CERT_FILE": "/nothing"})

    alga: Alga = request.getfixturevalue("alga")

    assert "alga_" in alga.server_metrics()


def test_a_fault_has_the_code_that_the_documents_name() -> None:
    assert EnvironmentFault.code == SettingsError.code
