"""Signatures count if a trusted key made them over the very hash that is fetched, and else they do not."""

from __future__ import annotations

import base64
import json
from pathlib import Path
from typing import Any

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from hypothesis import given, settings
from hypothesis import strategies as st

from alga_runner.bundles import FolderBundles
from alga_runner.bundles.signatures import (
    SignedBundles,
    TrustBundle,
    key_id,
    new_key,
    read_key,
    signature_document,
    trust_line,
    write_key,
)
from alga_runner.bundles.stores import bundle_source
from alga_runner.errors import (
    BundleNotFound,
    BundleSignatureInvalid,
    BundleUnsigned,
    SettingsError,
    SigningKeyUnusable,
)
from alga_runner.models import content_hash, pack
from alga_runner.settings import Settings

FILES = {"manifest.json": b'{"name": "demo", "version": "1.0.0"}', "dist/main.wasm": b"\0asm"}
ARCHIVE = pack(FILES)
HASH = content_hash(ARCHIVE)
KEY = Ed25519PrivateKey.from_private_bytes(bytes(range(32)))
TRUST = TrustBundle.parse(trust_line(KEY.public_key(), "Acme releases"))
SIGNED = signature_document(KEY, HASH)


def changed(**members: Any) -> bytes:
    document = json.loads(SIGNED)
    return json.dumps({**document, **members}).encode()


def refusal(document: bytes, of: str = HASH) -> str:
    with pytest.raises(BundleSignatureInvalid) as refused:
        TRUST.signer(of, document)
    return str(refused.value)


def test_a_signature_of_a_trusted_key_names_its_signer() -> None:
    assert TRUST.signer(HASH, SIGNED) == "Acme releases"


def test_a_signature_is_made_over_a_text_that_nothing_else_signs() -> None:
    value = base64.b64decode(json.loads(SIGNED)["signature"])

    KEY.public_key().verify(value, f"alga-bundle-signature-v1\n{HASH}\n".encode())


def test_a_signature_of_another_bundle_does_not_count() -> None:
    assert f"is of {HASH}" in refusal(SIGNED, content_hash(b"other"))


def test_a_signature_that_claims_another_hash_than_it_was_made_over_does_not_count() -> None:
    other = content_hash(b"other")

    assert "is not one of Acme releases" in refusal(changed(contentHash=other), other)


def test_a_key_that_is_not_trusted_does_not_count() -> None:
    assert "which is not trusted" in refusal(signature_document(new_key(), HASH))


def test_a_key_that_is_not_trusted_cannot_borrow_the_name_of_one_that_is() -> None:
    other = json.loads(signature_document(new_key(), HASH))

    assert "is not one of Acme releases" in refusal(changed(signature=other["signature"]))


@pytest.mark.parametrize(
    ("document", "why"),
    [
        (b"", "is not JSON"),
        (b"[" * 4000, "is not JSON"),
        (b"[]", "has other members"),
        (changed(more="1"), "has other members"),
        (changed(version=True), "has other members"),
        (changed(version=2), "is not of version 1 and ed25519"),
        (changed(algorithm="none"), "is not of version 1 and ed25519"),
        (changed(signature="?"), "cannot be read"),
        (changed(contentHash="md5:1"), "cannot be read"),
        (changed(keyId="x" * 5000), "has more than 4096 bytes"),
        (changed(signature=""), "is not one of Acme releases"),
    ],
)
def test_a_document_of_another_form_does_not_count(document: bytes, why: str) -> None:
    assert why in refusal(document)


@settings(max_examples=50)
@given(position=st.integers(0, len(SIGNED) - 1), value=st.integers(0, 255))
def test_any_changed_byte_is_refused_or_changes_nothing(position: int, value: int) -> None:
    document = bytearray(SIGNED)
    document[position] = value
    try:
        same = json.loads(document) == json.loads(SIGNED)
    except ValueError:
        same = False

    if same or _same_signature(bytes(document)):
        assert TRUST.signer(HASH, bytes(document)) == "Acme releases"
    else:
        refusal(bytes(document))


def _same_signature(document: bytes) -> bool:
    """Whether only what base64 and hexadecimal digits leave open differs."""
    try:
        members, own = json.loads(document), json.loads(SIGNED)
        same = base64.b64decode(members.pop("signature"), validate=True) == base64.b64decode(
            own.pop("signature")
        )
        return same and str(members.pop("contentHash")).lower() == own.pop("contentHash") and members == own
    except (ValueError, KeyError, AttributeError, TypeError):
        return False


def test_a_trust_bundle_has_comments_blank_lines_and_several_keys() -> None:
    other = new_key()
    lines = [
        "# ours",
        "",
        trust_line(KEY.public_key(), "Acme"),
        f"  {trust_line(other.public_key(), 'B c')}  ",
    ]
    trust = TrustBundle.parse("\n".join(lines))

    assert len(trust) == 2
    assert trust.signer(HASH, signature_document(other, HASH)) == "B c"


@pytest.mark.parametrize(
    ("text", "why"),
    [
        ("", "it has no key"),
        ("# nothing", "it has no key"),
        ("ed25519 AAAA Acme", "line 1 has no public key of 32 bytes"),
        ("ed25519 ? Acme", "line 1 has no public key of 32 bytes"),
        (trust_line(KEY.public_key(), ""), "line 1 is not a key of ed25519 with a name"),
        (trust_line(KEY.public_key(), "x" * 129), "line 1 is not a key of ed25519 with a name"),
        (trust_line(KEY.public_key(), "a\x1bb"), "line 1 is not a key of ed25519 with a name"),
        (trust_line(KEY.public_key(), "A").replace("ed25519", "rsa"), "line 1 is not a key of ed25519"),
        (
            "\n".join([trust_line(KEY.public_key(), "A"), trust_line(KEY.public_key(), "B")]),
            "line 2 has a key",
        ),
        ("-----BEGIN PUBLIC KEY-----", "line 1 has no public key"),
    ],
)
def test_a_trust_bundle_that_cannot_be_read_is_refused_with_its_line(
    tmp_path: Path, text: str, why: str
) -> None:
    (tmp_path / "trusted").write_text(text)

    with pytest.raises(SettingsError, match=why):
        TrustBundle.load(tmp_path / "trusted", "trusted")


@pytest.mark.parametrize("kind", ["missing", "folder", "binary"])
def test_a_trust_bundle_that_is_no_text_is_refused(tmp_path: Path, kind: str) -> None:
    place = tmp_path / "trusted"
    if kind == "folder":
        place.mkdir()
    elif kind == "binary":
        place.write_bytes(b"\xff\xfe")

    with pytest.raises(SettingsError, match="The trust bundle trusted cannot be used: "):
        TrustBundle.load(place, "trusted")


def test_a_private_key_comes_back_from_its_file_and_is_its_owner_s_alone(tmp_path: Path) -> None:
    write_key(tmp_path / "key", KEY)

    assert (tmp_path / "key").stat().st_mode & 0o777 == 0o600
    assert key_id(read_key(tmp_path / "key").public_key()) == key_id(KEY.public_key())


def test_a_private_key_is_never_written_over(tmp_path: Path) -> None:
    (tmp_path / "key").write_text("precious")

    with pytest.raises(SigningKeyUnusable, match="There is a file at"):
        write_key(tmp_path / "key", KEY)
    assert (tmp_path / "key").read_text() == "precious"


@pytest.mark.parametrize(
    "content", ["", "hunter2", "-----BEGIN PRIVATE KEY-----\nhunter2\n-----END PRIVATE KEY-----\n"]
)
def test_a_file_that_holds_no_key_is_refused_without_quoting_it(tmp_path: Path, content: str) -> None:
    (tmp_path / "key").write_text(content)

    with pytest.raises(SigningKeyUnusable, match="holds no private key") as refused:
        read_key(tmp_path / "key")
    assert "hunter2" not in str(refused.value)


def store(root: Path, document: bytes | None) -> FolderBundles:
    path = root / FolderBundles.key("t1", "ext", HASH)
    path.parent.mkdir(parents=True)
    path.write_bytes(ARCHIVE)
    if document is not None:
        path.with_name("bundle.tar.zst.SIGNATURE").write_bytes(document)
    return FolderBundles(root)


@pytest.mark.anyio
@pytest.mark.parametrize("required", [True, False])
async def test_a_bundle_has_the_name_of_its_signer(tmp_path: Path, required: bool) -> None:
    bundles = SignedBundles(store(tmp_path, SIGNED), TRUST, required=required)

    assert (await bundles.fetch("t1", "ext", HASH.upper())).signer == "Acme releases"


@pytest.mark.anyio
@pytest.mark.parametrize(
    ("document", "kind"),
    [
        (None, BundleUnsigned),
        (b"{}", BundleSignatureInvalid),
        (signature_document(new_key(), HASH), BundleSignatureInvalid),
    ],
)
async def test_a_bundle_without_a_valid_signature_is_refused_or_logged(
    tmp_path: Path, document: bytes | None, kind: type[Exception], caplog: pytest.LogCaptureFixture
) -> None:
    source = store(tmp_path, document)

    with pytest.raises(kind):
        await SignedBundles(source, TRUST, required=True).fetch("t1", "ext", HASH)
    assert caplog.records == []
    bundle = await SignedBundles(source, TRUST, required=False).fetch("t1", "ext", HASH)

    assert (bundle.signer, dict(bundle.files)) == (None, FILES)
    [record] = caplog.records
    assert (record.action, record.tenant_id, record.extension_id) == ("bundle_unverified", "t1", "ext")


@pytest.mark.anyio
async def test_an_unsigned_bundle_is_refused_before_its_archive_is_read(tmp_path: Path) -> None:
    source = store(tmp_path, None)
    (tmp_path / FolderBundles.key("t1", "ext", HASH)).write_bytes(b"not an archive")

    with pytest.raises(BundleUnsigned):
        await SignedBundles(source, TRUST, required=True).fetch("t1", "ext", HASH)


@pytest.mark.anyio
async def test_a_signature_of_one_tenant_gives_no_other_its_bundle(tmp_path: Path) -> None:
    bundles = SignedBundles(store(tmp_path, SIGNED), TRUST, required=False)

    with pytest.raises(BundleNotFound):
        await bundles.fetch("t2", "ext", HASH)


@pytest.mark.anyio
async def test_the_settings_choose_whose_signatures_are_required(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    store(tmp_path / "store", SIGNED)
    (tmp_path / "trusted").write_text(trust_line(KEY.public_key(), "Acme"))
    monkeypatch.setenv("BUNDLE_STORE_BASE", str(tmp_path / "store"))
    monkeypatch.setenv("ALGA_RUNNER_SIGNATURES", "require")

    with pytest.raises(SettingsError, match=r"signatures .* is require, and there is no trust bundle"):
        bundle_source(Settings.load())
    monkeypatch.setenv("SIGNING_TRUST_BUNDLE", str(tmp_path / "trusted"))
    bundles = bundle_source(Settings.load())

    assert (await bundles.fetch("t1", "ext", HASH)).signer == "Acme"
    assert [finding.sentence for finding in await bundles.check()] == [
        "The bundle store can be read.",
        "Bundles must be signed with one of 1 trusted key.",
    ]
