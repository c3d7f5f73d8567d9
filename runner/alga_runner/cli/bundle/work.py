"""Packing, making keys, signing and verifying."""

from __future__ import annotations

import os
import re
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path
from tempfile import NamedTemporaryFile

from alga_common.bundle_layout import MAX_SIGNATURE_BYTES, SIGNATURE_SUFFIX
from alga_common.cli.commands import say
from alga_common.cli.failures import print_document
from alga_common.cli.page import Page
from alga_common.private_files import exposure
from alga_common.text import size

from ...bundles import Bundle, read_bundle
from ...bundles.read import read_archive
from ...bundles.signatures import (
    TrustBundle,
    is_signer,
    key_id,
    new_key,
    read_key,
    signature_document,
    trust_line,
    write_key,
)
from ...errors import BundleInvalid, BundleUnsigned, SettingsError, SigningKeyUnusable
from ...models import pack as packed
from ...settings import Settings

_UNFIT_IN_NAME = re.compile("[^A-Za-z0-9._-]+")


def pack(folder: Path, output: Path | None, *, as_json: bool) -> None:
    """Pack ``folder``. Raises a ``BundleError``."""
    if not folder.is_dir():
        raise BundleInvalid(f"{folder} is not a folder.", hint="Give the extension's folder.")
    bundle = read_bundle(folder)
    manifest = bundle.manifest
    if output is None:
        name = _UNFIT_IN_NAME.sub("-", f"{manifest.name}-{manifest.version}").lstrip(".-") or "bundle"
        output = Path(f"{name}.tar.zst")
    archive = packed(bundle.files)
    _write(output, archive)
    _print(
        [
            ("bundle", "bundle", str(output)),
            ("extension", "extension", f"{manifest.name} {manifest.version}"),
            ("content hash", "contentHash", bundle.content_hash),
            ("size", "bytes", len(archive)),
        ],
        as_json=as_json,
    )


def keygen(name: str, key_file: Path, trust: Path | None, *, as_json: bool) -> None:
    """Make a key for the signer ``name``. Raises ``SigningKeyUnusable``."""
    if not is_signer(name):
        raise SigningKeyUnusable(
            f"{name!r} cannot name a signer.",
            hint="A name has 1 to 128 printable characters, and no space at an end.",
        )
    key = new_key()
    write_key(key_file, key)
    line = trust_line(key.public_key(), name)
    if trust is not None:
        try:
            with trust.open("ab+") as file:
                file.seek(max(file.tell() - 1, 0))
                start = b"" if file.read() in {b"", b"\n"} else b"\n"
                file.write(start + line.encode() + b"\n")
        except OSError as error:
            say(
                "warning",
                f"The trust bundle {trust} was not changed, so add the line to it: {error.strerror}.",
            )
    if as_json:
        print_document({"key": str(key_file), "keyId": key_id(key.public_key()), "trustLine": line})
        return
    Page().line(line)
    say("key", f"{key_file}, for its owner alone; id {key_id(key.public_key())}")


def sign(archive: Path, key_file: Path, *, as_json: bool) -> None:
    """Sign ``archive``. Raises a ``BundleError``, ``SigningKeyUnusable``."""
    key = read_key(key_file)
    if (sentence := exposure(key_file)) is not None:
        say("warning", sentence)
    bundle = Bundle.from_archive(read_archive(archive))
    place = _signature_of(archive)
    _write(place, signature_document(key, bundle.content_hash))
    _print(
        [
            ("signature", "signature", str(place)),
            ("content hash", "contentHash", bundle.content_hash),
            ("key", "keyId", key_id(key.public_key())),
        ],
        as_json=as_json,
    )


def verify(archive: Path, trust: Path | None, *, as_json: bool) -> None:
    """Verify the signature of ``archive``. Raises a ``BundleError``, ``SettingsError``."""
    shown = str(trust)
    if trust is None:
        named = Settings.load().signing_trust_bundle
        if named is None:
            raise SettingsError(
                "There is no trust bundle to verify with.",
                hint="Give --trust FILE, or set SIGNING_TRUST_BUNDLE.",
            )
        trust, shown = Path(named), Settings.named("signing_trust_bundle")
    trusted = TrustBundle.load(trust, shown)
    bundle = Bundle.from_archive(read_archive(archive), entries=Settings.load().bundle_entries)
    try:
        with _signature_of(archive).open("rb") as file:
            document = file.read(MAX_SIGNATURE_BYTES + 1)
    except OSError as error:
        raise BundleUnsigned(
            f"{archive} has no signature: {_signature_of(archive)} cannot be read: {error.strerror}."
        ) from None
    signer = trusted.signer(bundle.content_hash, document)
    _print(
        [("signer", "signer", signer), ("content hash", "contentHash", bundle.content_hash)], as_json=as_json
    )


def _signature_of(archive: Path) -> Path:
    return archive.with_name(archive.name + SIGNATURE_SUFFIX)


def _write(path: Path, content: bytes) -> None:
    """``content`` at ``path``: whole, or nothing new. Raises ``BundleInvalid``."""
    temporary: str | None = None
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with NamedTemporaryFile(dir=path.parent, prefix=f".{path.name}.", delete=False) as file:
            temporary = file.name
            file.write(content)
            os.fchmod(file.fileno(), 0o644)
        Path(temporary).replace(path)
    except OSError as error:
        if temporary is not None:
            with suppress(OSError):
                Path(temporary).unlink()
        raise BundleInvalid(
            f"{path} cannot be written: {error.strerror}.", hint="Give another file, or make room."
        ) from None


def _print(facts: Sequence[tuple[str, str, str | int]], *, as_json: bool) -> None:
    """Print facts, each with its name for people, its name for machines, and its value: a text or bytes."""
    if as_json:
        print_document({member: value for _, member, value in facts})
        return
    shown = [(label, value if isinstance(value, str) else size(value)) for label, _, value in facts]
    Page().table(("", ""), shown)
