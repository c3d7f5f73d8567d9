"""``secrets`` in both ABIs, and that nothing of them is seen anywhere else (alga-contract 1.6 and 4)."""

from __future__ import annotations

import base64
import json
import logging
from typing import Any

import pytest

from tests.support.component_world import OK, world_component
from tests.support.host_calls import ANSWERS_TEXT, Calling

pytestmark = pytest.mark.anyio

SECRETS = ("cap:secrets.get",)
PLANTED = "planted-s3cret"
ENVELOPE = {
    "ciphertext_b64": base64.b64encode(json.dumps({"b_key": PLANTED, "a_key": "x"}).encode()).decode(),
    "algorithm": "inline/base64",
}
EXPIRED = {**ENVELOPE, "expires_at": "2020-01-01T00:00:00Z"}
UNKNOWN = {**ENVELOPE, "algorithm": "rot13"}
VAULT = {**ENVELOPE, "algorithm": "vault-transit:v1", "key_path": "k"}
CASE = """(i32.store16 (i32.const 0) (i32.add (i32.const 200)
  (i32.add (i32.mul (i32.const 10) (i32.load8_u (i32.const 512))) (i32.load8_u (i32.const 516))))) (i32.const 0)"""
MISSING, DENIED, IS_EXPIRED, INTERNAL = 210, 211, 212, 213


def reading(key: str, then: str = CASE) -> bytes:
    """A component that reads the secret ``key``."""
    handler = f"""(local $text i32) (call $secrets.get (i32.const 2048) (i32.const {len(key)}) (i32.const 512))
      (local.set $text (i32.const {512 + 4})) {then}"""
    return world_component(handler, ["secrets get"], code=f'(data (i32.const 2048) "{key}")')


COUNTING = world_component(
    "(call $secrets.list-keys (i32.const 512)) (i32.store16 (i32.const 0) (i32.add (i32.const 200) "
    "(i32.load (i32.const 516)))) (i32.const 0)",
    ["secrets list-keys"],
)
"""Answers with 200 and the number of keys."""


async def status(place: Calling, guest: bytes, **members: Any) -> int:
    observation = await place.observe(guest, **{"grants": SECRETS, **members})
    assert observation.response is not None, observation.error
    return observation.response.status


async def test_a_core_module_reads_a_secret(place: Calling) -> None:
    reply = await place.call("secrets.get", {"key": "b_key"}, grants=SECRETS, secret_envelope=ENVELOPE)

    assert reply == {"ok": {"value": PLANTED}}


async def test_a_core_module_reads_the_names_in_their_order(place: Calling) -> None:
    reply = await place.call("secrets.list-keys", {}, grants=SECRETS, secret_envelope=ENVELOPE)

    assert reply == {"ok": {"keys": ["a_key", "b_key"]}}


async def test_a_component_reads_a_secret(place: Calling) -> None:
    observation = await place.observe(
        reading("b_key", ANSWERS_TEXT), grants=SECRETS, secret_envelope=ENVELOPE
    )

    assert observation.response is not None, observation.error
    assert observation.response.body().decode() == PLANTED


@pytest.mark.parametrize(
    ("envelope", "key", "grants", "code", "case"),
    [
        (ENVELOPE, "other", SECRETS, "not-found", MISSING),
        (None, "b_key", SECRETS, "not-found", MISSING),
        ({"ciphertext_b64": ""}, "b_key", SECRETS, "not-found", MISSING),
        (ENVELOPE, "b_key", (), "denied", DENIED),
        (EXPIRED, "b_key", SECRETS, "expired", IS_EXPIRED),
        (UNKNOWN, "b_key", SECRETS, "internal", INTERNAL),
        (VAULT, "b_key", SECRETS, "internal", INTERNAL),
    ],
)
async def test_both_abis_get_the_same_refusal(
    place: Calling, *, envelope: object, key: str, grants: tuple[str, ...], code: str, case: int
) -> None:
    members: dict[str, Any] = {"grants": grants, "secret_envelope": envelope}

    reply = await place.call("secrets.get", {"key": key}, **members)

    assert reply["err"]["code"] == code
    assert await status(place, reading(key), **members) == case


@pytest.mark.parametrize(
    ("envelope", "grants", "count"),
    [
        (ENVELOPE, SECRETS, 2),
        (ENVELOPE, (), 0),
        (EXPIRED, SECRETS, 0),
        (UNKNOWN, SECRETS, 0),
        (None, SECRETS, 0),
    ],
)
async def test_a_component_counts_the_names_it_may_see(
    place: Calling, envelope: object, grants: tuple[str, ...], count: int
) -> None:
    assert await status(place, COUNTING, grants=grants, secret_envelope=envelope) == 200 + count


@pytest.mark.parametrize("envelope", [EXPIRED, UNKNOWN, VAULT, {"ciphertext_b64": "!"}])
async def test_an_envelope_that_cannot_be_opened_stops_no_guest_that_reads_none(
    place: Calling, envelope: object
) -> None:
    assert await status(place, world_component(OK), secret_envelope=envelope) == 200


TELLING = """(local $text i32) (call $secrets.get (i32.const 2048) (i32.const 5) (i32.const 512))
  (call $logging.log-error (i32.load (i32.const 516)) (i32.load (i32.const 520)))
  (call $user.get-user (i32.const 600)) (i32.store16 (i32.const 0) (i32.const 999)) (i32.const 0)"""


async def test_planted_secrets_tokens_and_payloads_are_seen_nowhere(
    place: Calling, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG)
    body, token = "planted-b0dy", "planted-t0ken"
    members: dict[str, Any] = {
        "grants": SECRETS,
        "secret_envelope": ENVELOPE,
        "execution_token": token,
        "http": {"body_b64": base64.b64encode(body.encode()).decode()},
    }
    imports = ["secrets get", "logging log-error", "user get-user"]
    component = world_component(TELLING, imports, code='(data (i32.const 2048) "b_key")')
    failing = _core_that_fails_with_its_secret()
    observations = [await place.observe(guest, **members) for guest in (component, failing)]
    for envelope in (EXPIRED, UNKNOWN, VAULT, {"ciphertext_b64": PLANTED}):
        await place.call("secrets.get", {"key": "b_key"}, **{**members, "secret_envelope": envelope})
    place.runner.telemetry.flush()

    assert all(observation.error is not None for observation in observations)
    records = repr([(one.host_calls, one.log, one.error, str(one.error)) for one in observations])
    shown = records + caplog.text + place.runner.telemetry.render().decode()
    assert "(secret)" in records
    assert "b_key" not in caplog.text
    for planted in (PLANTED, ENVELOPE["ciphertext_b64"], body, token, members["http"]["body_b64"]):
        assert planted not in shown


def _core_that_fails_with_its_secret() -> str:
    """A core module that reads a secret and fails with the reply as its message."""
    request = b"\x81\xa3key\xa5b_key"
    data = "".join(map("\\{:02x}".format, request))
    return f"""(module
      (import "alga:abi" "fail" (func $fail (param i32 i32)))
      (import "alga:secrets" "get" (func $get (param i32 i32 i32 i32) (result i32)))
      (memory (export "memory") 1) (data (i32.const 0) "{data}")
      (func (export "alga_abi_v1"))
      (func (export "alga_handle") (param i32)
        (call $fail (i32.const 64)
          (call $get (i32.const 0) (i32.const {len(request)}) (i32.const 64) (i32.const 1024)))))"""
