"""A signature that is published with a bundle is next to each tenant's copy, where runners look for it."""

from __future__ import annotations

import base64
import json
from pathlib import Path
from typing import Any

import pytest

from alga_runner.bundles import FolderBundles
from alga_runner.bundles.signatures import SignedBundles, TrustBundle, new_key, signature_document, trust_line
from alga_runner.errors import BundleUnsigned
from alga_runner.models import content_hash
from alga_server import ServerSettings
from alga_server.catalog.bundle_store import BundleStore, Placement
from tests.support.server import ADMIN_TOKEN, Alga, extension_archive

pytestmark = pytest.mark.anyio

ARCHIVE = extension_archive()
HASH = content_hash(ARCHIVE)
KEY = new_key()
SIGNED = signature_document(KEY, HASH)
TRUST = TrustBundle.parse(trust_line(KEY.public_key(), "Acme"))


@pytest.fixture
def root(tmp_path: Path) -> Path:
    return tmp_path / "bundles"


@pytest.fixture
def settings(settings: ServerSettings, root: Path) -> ServerSettings:
    return settings.model_copy(update={"bundle_store": root})


async def publish(alga: Alga, signature: bytes | None) -> Any:
    return await send(alga, None if signature is None else base64.b64encode(signature).decode())


async def send(alga: Alga, header: str | None) -> Any:
    headers = {"authorization": f"Bearer {ADMIN_TOKEN}"}
    if header is not None:
        headers["x-alga-signature"] = header
    return await alga.client.post("/api/admin/extensions", content=ARCHIVE, headers=headers)


async def test_a_runner_that_requires_signatures_runs_what_was_published_with_one(
    alga: Alga, root: Path
) -> None:
    published = (await publish(alga, SIGNED)).json()
    installed = await alga.admin(
        "POST", "/api/admin/tenants/t1/installs", json={"extensionId": published["extensionId"]}
    )
    runner = SignedBundles(FolderBundles(root), TRUST, required=True)

    assert installed.status_code == 201
    assert (await runner.fetch("t1", published["extensionId"], HASH)).signer == "Acme"


async def test_a_signature_that_comes_later_reaches_the_copies_that_are_there(alga: Alga, root: Path) -> None:
    extension = (await publish(alga, None)).json()["extensionId"]
    await alga.admin("POST", "/api/admin/tenants/t1/installs", json={"extensionId": extension})
    runner = SignedBundles(FolderBundles(root), TRUST, required=True)
    with pytest.raises(BundleUnsigned):
        await runner.fetch("t1", extension, HASH)

    assert (await publish(alga, SIGNED)).status_code == 200

    assert (await runner.fetch("t1", extension, HASH)).signer == "Acme"


async def test_publishing_again_without_a_signature_keeps_the_one_that_is_there(
    alga: Alga, root: Path
) -> None:
    extension = (await publish(alga, SIGNED)).json()["extensionId"]
    await publish(alga, None)

    await alga.admin("POST", "/api/admin/tenants/t1/installs", json={"extensionId": extension})

    runner = SignedBundles(FolderBundles(root), TRUST, required=True)
    assert (await runner.fetch("t1", extension, HASH)).signer == "Acme"


@pytest.mark.parametrize(
    "signature",
    [
        signature_document(KEY, content_hash(b"another")),
        b"",
        b"[]",
        b"{}",
        b"[" * 4000,
        json.dumps({"contentHash": HASH, "more": "x" * 4096}).encode(),
    ],
)
async def test_what_is_no_signature_of_the_bundle_is_refused(alga: Alga, signature: bytes) -> None:
    refused = await publish(alga, signature)

    assert (refused.status_code, refused.json()["code"]) == (400, "bundle_invalid")
    assert refused.json()["error"] == "The signature is not one of this bundle."


async def test_a_header_that_is_no_base64_is_refused(alga: Alga) -> None:
    refused = await send(alga, "?")

    assert refused.status_code == 400
    assert refused.json()["error"] == "The header x-alga-signature is not base64."


def test_a_copy_without_its_signature_is_not_whole_and_goes_with_it(root: Path) -> None:
    store, placement = BundleStore(root), Placement("t1", "ext", HASH)
    store.put(placement, ARCHIVE)

    assert not store.holds(placement, len(ARCHIVE), SIGNED)
    store.put(placement, ARCHIVE, SIGNED)
    assert store.holds(placement, len(ARCHIVE), SIGNED)
    store.discard(placement)
    assert [path for path in (root / "tenants").rglob("*") if path.is_file()] == []
