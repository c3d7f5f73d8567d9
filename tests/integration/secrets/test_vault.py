"""Envelopes that Vault sealed, opened over a socket (alga-contract 1.6)."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from time import monotonic
from typing import Any

import pytest

from alga_runner import Settings
from alga_runner.errors import HostCallCode, HostCallError, ServerFault, SettingsError
from alga_runner.models import ExecutionContext, SecretEnvelope
from alga_runner.secrets import SecretOpener, Vault, connect
from tests.support.patience import PATIENCE_S
from tests.support.raw_server import RawServer, listening
from tests.support.sockets import serving
from tests.support.vault import NAMESPACE, TOKEN, FakeVault

pytestmark = pytest.mark.anyio

CONTEXT = ExecutionContext(
    tenant_id="acme", extension_id="ext", install_id="install-1", content_hash="sha256:00"
)
SECRETS = {"api_key": "hunter2"}
NOON = datetime(2026, 1, 1, 12, tzinfo=UTC)


@pytest.fixture
def token_file(tmp_path: Path) -> Path:
    file = tmp_path / "token"
    file.write_text(f"{TOKEN}\n")
    return file


@pytest.fixture(scope="module")
async def running() -> AsyncIterator[tuple[FakeVault, str]]:
    """A Vault and its URL, for all tests: to stop its server takes a while."""
    vault = FakeVault()
    async with serving(vault) as url:
        yield vault, url


@pytest.fixture
def server(running: tuple[FakeVault, str]) -> FakeVault:
    running[0].start_again()
    return running[0]


@pytest.fixture
def url(running: tuple[FakeVault, str]) -> str:
    return running[1]


def put(file: Path, content: bytes | None) -> None:
    """Let the file hold ``content``, or not exist."""
    file.unlink()
    if content is not None:
        file.write_bytes(content)


class Clock:
    now = NOON

    def __call__(self) -> datetime:
        return self.now


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
async def opener(server: FakeVault, url: str, token_file: Path, clock: Clock) -> AsyncIterator[SecretOpener]:
    opener = SecretOpener(Vault(url, token_file=token_file), now=clock)
    yield opener
    await opener.aclose()


def envelope(ciphertext: str, **members: Any) -> SecretEnvelope:
    return SecretEnvelope(
        **{
            "ciphertext_b64": ciphertext,
            "algorithm": "vault-transit:v1",
            "key_path": "alga/install-1",
            **members,
        }
    )


async def opened(opener: SecretOpener, sealed: SecretEnvelope, **context: str) -> dict[str, str]:
    of = CONTEXT.model_copy(update=context)
    return dict(await opener.open(sealed, of, monotonic() + PATIENCE_S))


async def refusal(opener: SecretOpener, sealed: SecretEnvelope) -> HostCallError:
    with pytest.raises(HostCallError) as error:
        await opened(opener, sealed)
    assert "hunter2" not in f"{error.value}{error.value.detail}"
    assert TOKEN not in f"{error.value}{error.value.detail}"
    return error.value


async def test_vault_decrypts_with_the_key_of_the_envelope(opener: SecretOpener, server: FakeVault) -> None:
    assert await opened(opener, envelope(server.seal(SECRETS))) == SECRETS

    method, path, headers = server.requests[0]
    assert (method, path) == ("POST", "/v1/transit/decrypt/alga/install-1")
    assert headers["x-vault-token"] == TOKEN
    assert "x-vault-namespace" not in headers


async def test_the_envelope_names_its_mount(opener: SecretOpener, server: FakeVault) -> None:
    sealed = envelope(server.seal(SECRETS, mount="keys/transit"), mount="keys/transit")

    assert await opened(opener, sealed) == SECRETS


async def test_namespace_and_mount_are_settings(server: FakeVault, url: str, token_file: Path) -> None:
    server.namespace = NAMESPACE
    settings = Settings(
        vault_url=f"{url}/",
        vault_namespace=NAMESPACE,
        vault_transit_mount="sealing",
        vault_token_file=str(token_file),
    )
    opener = connect(settings)
    assert await opened(opener, envelope(server.seal(SECRETS, mount="sealing"))) == SECRETS
    await opener.aclose()


async def test_the_token_is_read_again_each_time(
    opener: SecretOpener, server: FakeVault, token_file: Path
) -> None:
    await opened(opener, envelope(server.seal(SECRETS)))
    server.token = "hvs.renewed"
    put(token_file, b"hvs.renewed")

    assert await opened(opener, envelope(server.seal({"b": "c"}))) == {"b": "c"}


async def test_an_opened_envelope_is_kept_for_its_owner_alone(
    opener: SecretOpener, server: FakeVault
) -> None:
    sealed = envelope(server.seal(SECRETS))
    for _ in range(3):
        await opened(opener, sealed)
    assert len(server.requests) == 1

    for owner in ("tenant_id", "extension_id", "install_id", "version_id"):
        await opened(opener, sealed, **{owner: "other"})
    assert len(server.requests) == 5


async def test_an_envelope_that_was_kept_expires(
    opener: SecretOpener, server: FakeVault, clock: Clock
) -> None:
    sealed = envelope(server.seal(SECRETS), expires_at="2026-01-01T12:00:10Z")
    await opened(opener, sealed)
    clock.now += timedelta(seconds=10)

    assert (await refusal(opener, sealed)).host_code is HostCallCode.EXPIRED


async def test_an_expired_envelope_is_not_sent_to_vault(opener: SecretOpener, server: FakeVault) -> None:
    sealed = envelope(server.seal(SECRETS), expires_at="2026-01-01T11:59:59Z")

    assert (await refusal(opener, sealed)).host_code is HostCallCode.EXPIRED
    assert server.requests == []


@pytest.mark.parametrize(
    ("members", "reason"),
    [
        ({"key_path": None}, "it has no key_path"),
        ({"key_path": "../sys/seal"}, "its mount or its key_path is not a path in Vault"),
        ({"key_path": "k?x=y"}, "its mount or its key_path is not a path in Vault"),
        ({"mount": "transit/../kv"}, "its mount or its key_path is not a path in Vault"),
        ({"key_path": "k%2e"}, "its mount or its key_path is not a path in Vault"),
    ],
)
async def test_a_path_that_leads_elsewhere_is_not_sent(
    opener: SecretOpener, server: FakeVault, members: dict[str, Any], reason: str
) -> None:
    error = await refusal(opener, envelope(server.seal(SECRETS), **members))

    assert (error.host_code, error.fault, server.requests) == (
        HostCallCode.INTERNAL,
        ServerFault.SECRETS,
        [],
    )
    assert reason in str(error.detail)


@pytest.mark.parametrize(
    ("status", "code", "words"),
    [
        (400, HostCallCode.INTERNAL, "cannot decrypt it with the key"),
        (403, HostCallCode.INTERNAL, "does not accept the token"),
        (404, HostCallCode.INTERNAL, "no such mount or key"),
        (418, HostCallCode.INTERNAL, "HTTP 418"),
        (429, HostCallCode.UNAVAILABLE, "HTTP 429"),
        (500, HostCallCode.UNAVAILABLE, "HTTP 500"),
        (503, HostCallCode.UNAVAILABLE, "HTTP 503"),
    ],
)
async def test_what_vault_answers_is_mapped(
    opener: SecretOpener, server: FakeVault, status: int, code: HostCallCode, words: str
) -> None:
    server.status = status

    error = await refusal(opener, envelope(server.seal(SECRETS)))

    assert error.host_code is code
    assert words in str(error.detail)
    assert words not in str(error)


@pytest.mark.parametrize(
    "answer", [b"<html>", b"{}", b'{"data": {"plaintext": "!"}}', b'{"data": {"plaintext": 7}}', b"[]"]
)
async def test_an_answer_that_is_not_vaults_is_refused(
    opener: SecretOpener, server: FakeVault, answer: bytes
) -> None:
    server.answer = answer

    assert (await refusal(opener, envelope(server.seal(SECRETS)))).fault is ServerFault.SECRETS


async def test_a_refused_envelope_is_not_kept(opener: SecretOpener, server: FakeVault) -> None:
    server.status = 503
    sealed = envelope(server.seal(SECRETS))
    await refusal(opener, sealed)
    server.status = None

    assert await opened(opener, sealed) == SECRETS


@pytest.mark.parametrize("token", [None, b"", b"two tokens", b"\xff"])
async def test_without_a_token_nothing_is_sent(
    opener: SecretOpener, server: FakeVault, token_file: Path, token: bytes | None
) -> None:
    put(token_file, token)

    error = await refusal(opener, envelope(server.seal(SECRETS)))

    assert "ALGA_VAULT_TOKEN_FILE" in str(error.detail)
    assert server.requests == []


async def test_a_vault_that_says_nothing_ends_with_the_deadline(token_file: Path) -> None:
    async with listening(RawServer(None)) as silent:
        opener = SecretOpener(Vault(f"http://127.0.0.1:{silent.port}", token_file=token_file))
        with pytest.raises(HostCallError) as error:
            await opener.open(envelope("vault:v1:x"), CONTEXT, monotonic() + 0.05)
        await opener.aclose()

    assert error.value.host_code is HostCallCode.TIMEOUT


async def test_a_vault_that_is_not_there_is_unavailable(token_file: Path) -> None:
    opener = SecretOpener(Vault("http://127.0.0.1:1", token_file=token_file))

    assert (await refusal(opener, envelope("vault:v1:x"))).host_code is HostCallCode.UNAVAILABLE


async def test_many_at_once_are_all_opened(opener: SecretOpener, server: FakeVault) -> None:
    sealed = [envelope(server.seal({"n": f"{number}"})) for number in range(40)]

    results = await asyncio.gather(*(opened(opener, one) for one in sealed))

    assert [secrets["n"] for secrets in results] == [f"{number}" for number in range(40)]


@pytest.mark.parametrize(
    ("token", "status", "codes"),
    [
        (TOKEN, None, {"vault": "ok", "vault_token": "ok"}),
        ("wrong", None, {"vault": "ok", "vault_token": "refused"}),
        (TOKEN, 503, {"vault": "failing"}),
        ("", None, {"vault_token": "unusable"}),
    ],
)
async def test_a_check_finds_what_is_wrong(
    server: FakeVault, url: str, token_file: Path, *, token: str, status: int | None, codes: dict[str, str]
) -> None:
    put(token_file, token.encode())
    server.status = status
    vault = Vault(url, token_file=token_file)
    findings = await vault.check()
    await vault.aclose()

    assert {finding.name: finding.code for finding in findings} == codes
    assert all(finding.hint for finding in findings if finding.code != "ok")


async def test_a_check_of_a_vault_that_is_not_there(token_file: Path) -> None:
    vault = Vault("http://127.0.0.1:1", token_file=token_file)

    assert [finding.code for finding in await vault.check()] == ["unreachable"]


@pytest.mark.parametrize("url", ["vault.example:8200", "http://user:hunter2@vault.example", "ftp://vault"])
def test_an_address_that_cannot_be_used_is_a_settings_error(url: str) -> None:
    with pytest.raises(SettingsError) as error:
        connect(Settings(vault_url=url))

    assert "VAULT_ADDR" in str(error.value)
    assert "hunter2" not in str(error.value)
