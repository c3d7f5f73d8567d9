"""Opening secret envelopes (alga-contract 1.6; 7, fault 8)."""

from __future__ import annotations

import base64
from datetime import UTC, datetime

import pytest

from alga_runner.errors import HostCallCode, HostCallError, ServerFault
from alga_runner.models import ExecutionContext, SecretEnvelope
from alga_runner.secrets import ExecutionSecrets, SecretOpener

pytestmark = pytest.mark.anyio

NOON = datetime(2026, 1, 1, 12, tzinfo=UTC)
CONTEXT = ExecutionContext(tenant_id="acme", extension_id="ext", content_hash="sha256:00")


def sealed(text: str) -> str:
    return base64.b64encode(text.encode()).decode()


SECRETS = sealed('{"key": "hunter2"}')


async def opened(**members: str | None) -> dict[str, str]:
    opener = SecretOpener(now=lambda: NOON)
    return dict(await opener.open(SecretEnvelope(**members), CONTEXT, 0.0))


async def refusal(**members: str | None) -> HostCallError:
    with pytest.raises(HostCallError) as error:
        await opened(**members)
    assert "hunter2" not in f"{error.value}{error.value.detail}"
    return error.value


@pytest.mark.parametrize("algorithm", [None, "", "inline", "inline/base64", " INLINE/base64 "])
async def test_an_inline_envelope_opens(algorithm: str | None) -> None:
    assert await opened(ciphertext_b64=f" {SECRETS}\n", algorithm=algorithm) == {"key": "hunter2"}


@pytest.mark.parametrize("algorithm", ["rot13", "inlined", "aes\n"])
async def test_an_unknown_algorithm_is_refused_with_words_to_the_operator(algorithm: str) -> None:
    error = await refusal(ciphertext_b64=SECRETS, algorithm=algorithm)

    assert (error.host_code, error.fault) == (HostCallCode.INTERNAL, ServerFault.SECRETS)
    assert f"its algorithm '{algorithm.strip()}' is not known" in str(error.detail)
    assert algorithm.strip() not in str(error)


async def test_without_vault_its_envelopes_are_refused() -> None:
    error = await refusal(ciphertext_b64="vault:v1:x", algorithm="vault-transit:v1", key_path="k")

    assert (error.host_code, error.fault) == (HostCallCode.INTERNAL, ServerFault.SECRETS)
    assert "VAULT_ADDR is not set" in str(error.detail)


@pytest.mark.parametrize("ciphertext", ["", "  \n"])
@pytest.mark.parametrize("algorithm", ["vault-transit:v1", "rot13", None])
async def test_a_blank_envelope_holds_nothing(ciphertext: str, algorithm: str | None) -> None:
    assert await opened(ciphertext_b64=ciphertext, algorithm=algorithm) == {}


@pytest.mark.parametrize(
    "expires_at", ["2026-01-01T12:00:00.001Z", "2026-01-01T14:00:00+01:00", "2026-01-01T12:00:01"]
)
async def test_before_its_end_it_opens(expires_at: str) -> None:
    assert await opened(ciphertext_b64=SECRETS, expires_at=expires_at)


@pytest.mark.parametrize("expires_at", ["2026-01-01T12:00:00Z", "2026-01-01T12:30:00+01:00", "2025-01-01"])
async def test_at_its_end_it_is_expired(expires_at: str) -> None:
    error = await refusal(ciphertext_b64=SECRETS, expires_at=expires_at)

    assert (error.host_code, error.fault) == (HostCallCode.EXPIRED, None)


@pytest.mark.parametrize(
    ("members", "reason"),
    [
        ({"ciphertext_b64": SECRETS, "expires_at": "soon"}, "its expires_at is not a time"),
        ({"ciphertext_b64": SECRETS, "expires_at": ""}, "its expires_at is not a time"),
        ({"ciphertext_b64": "!"}, "it is not base64"),
        ({"ciphertext_b64": "é"}, "it is not base64"),
        ({"ciphertext_b64": sealed("hunter2")}, "it does not hold JSON"),
        ({"ciphertext_b64": sealed('["hunter2"]')}, "it does not hold a JSON object of strings"),
        ({"ciphertext_b64": sealed('{"hunter2": 1}')}, "it does not hold a JSON object of strings"),
        ({"ciphertext_b64": sealed('{"a": {"b": "hunter2"}}')}, "it does not hold a JSON object of strings"),
        ({"ciphertext_b64": "A" * 2_100_000}, "it has more than 2097152 characters"),
        ({"ciphertext_b64": sealed(" " * 1_048_577)}, "it holds more than 1048576 bytes"),
    ],
)
async def test_a_broken_envelope_is_internal_and_its_reason_for_the_operator(
    members: dict[str, str], reason: str
) -> None:
    error = await refusal(**members)

    assert (error.host_code, error.fault) == (HostCallCode.INTERNAL, ServerFault.SECRETS)
    assert error.detail == f"An envelope of secrets cannot be opened: {reason}."
    assert reason not in str(error)


def test_its_text_is_not_in_its_representation() -> None:
    assert SECRETS not in repr(SecretEnvelope(ciphertext_b64=SECRETS))


async def test_what_the_guest_read_is_hidden_in_any_value() -> None:
    envelope = SecretEnvelope(ciphertext_b64=sealed('{"a": "hunter2", "b": "ab", "c": "unread"}'))
    secrets = ExecutionSecrets(SecretOpener(), envelope)
    for name in "ab":
        await secrets.read(name, CONTEXT, 0.0)

    assert secrets.hide({"x": ["Bearer hunter2", b"hunter2!", 7, "ab", "abc", "unread"]}) == {
        "x": ["Bearer (secret)", b"(secret)!", 7, "(secret)", "abc", "unread"]
    }
    assert "hunter2" not in repr(secrets)
