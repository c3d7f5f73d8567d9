"""Opening secret envelopes (alga-contract 1.6; 7, fault 8)."""

from __future__ import annotations

import base64
from datetime import UTC, datetime

import pytest

from alga_runner.errors import SecretDecryptFailed
from alga_runner.models import SecretEnvelope

NOON = datetime(2026, 1, 1, 12, tzinfo=UTC)


def sealed(text: str) -> str:
    return base64.b64encode(text.encode()).decode()


SECRETS = sealed('{"key": "hunter2"}')


@pytest.mark.parametrize("algorithm", [None, "", "inline", "inline/base64", " INLINE/base64 "])
def test_an_inline_envelope_opens(algorithm: str | None) -> None:
    envelope = SecretEnvelope(ciphertext_b64=f" {SECRETS}\n", algorithm=algorithm)

    assert envelope.open(NOON) == {"key": "hunter2"}


@pytest.mark.parametrize("algorithm", ["vault-transit:v1", "Vault-Transit", "rot13", "inlined"])
def test_another_algorithm_does_not(algorithm: str) -> None:
    with pytest.raises(SecretDecryptFailed):
        SecretEnvelope(ciphertext_b64=SECRETS, algorithm=algorithm).open(NOON)


@pytest.mark.parametrize("ciphertext", ["", "  \n"])
def test_a_blank_envelope_holds_nothing(ciphertext: str) -> None:
    assert SecretEnvelope(ciphertext_b64=ciphertext, algorithm="vault-transit:v1").open(NOON) == {}


@pytest.mark.parametrize(
    "expires_at", ["2026-01-01T12:00:00.001Z", "2026-01-01T14:00:00+01:00", "2026-01-01T12:00:01"]
)
def test_before_its_end_it_opens(expires_at: str) -> None:
    assert SecretEnvelope(ciphertext_b64=SECRETS, expires_at=expires_at).open(NOON)


@pytest.mark.parametrize(
    "expires_at", ["2026-01-01T12:00:00Z", "2026-01-01T12:30:00+01:00", "2025-01-01", "", "soon"]
)
def test_at_its_end_or_without_a_readable_one_it_does_not(expires_at: str) -> None:
    with pytest.raises(SecretDecryptFailed):
        SecretEnvelope(ciphertext_b64=SECRETS, expires_at=expires_at).open(NOON)


@pytest.mark.parametrize(
    "ciphertext",
    [
        "!",
        "é",
        "YQ",
        sealed("hunter2"),
        sealed('["hunter2"]'),
        sealed('{"hunter2": 5}'),
        sealed('{"a": NaN}'),
    ],
)
def test_what_it_holds_must_be_strings_by_name_and_is_never_told(ciphertext: str) -> None:
    with pytest.raises(SecretDecryptFailed) as raised:
        SecretEnvelope(ciphertext_b64=ciphertext).open(NOON)

    assert "hunter2" not in str(raised.value)
    assert raised.value.__cause__ is None


def test_an_envelope_does_not_show_what_it_holds() -> None:
    assert SECRETS not in repr(SecretEnvelope(ciphertext_b64=SECRETS))
