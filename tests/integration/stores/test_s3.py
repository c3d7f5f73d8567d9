"""Presigned requests at an S3 server that verifies signatures, which it first shows by its refusals."""

from __future__ import annotations

import os
from collections.abc import AsyncIterator, Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import botocore.config
import botocore.session
import httpx
import pytest

from alga_common.http.exchange import send
from alga_common.http.transport import SocketTransport
from alga_runner.bundles import FolderBundles
from alga_runner.bundles.stores import (
    ArchiveCache,
    HttpStore,
    RemoteBundles,
    S3Credentials,
    bundle_source,
    presigned,
)
from alga_runner.errors import BundleDownloadFailed, BundleError, BundleNotFound
from alga_runner.models import content_hash, pack
from alga_runner.settings import Settings

URL = os.environ.get("ALGA_TEST_S3", "")
pytestmark = [
    pytest.mark.anyio,
    pytest.mark.s3,
    pytest.mark.skipif(not URL, reason="needs an S3 server, which `make test-s3` makes"),
]

KEYS = S3Credentials(
    os.environ.get("ALGA_TEST_S3_ACCESS_KEY", ""), os.environ.get("ALGA_TEST_S3_SECRET_KEY", ""), "us-east-1"
)
BUCKET = "alga-ext"
FILES = {"manifest.json": b'{"name": "demo", "version": "1.0.0"}', "dist/main.wasm": b"\0asm" * 1000}
ARCHIVE = pack(FILES)
HASH = content_hash(ARCHIVE)
KEY = FolderBundles.key("t1", "ext", HASH)
TENANTS = ["t1", "a b", "\u00fcn\u00ef", "a+b&c=d", "a'(b)!*", "100%25"]


@pytest.fixture(scope="module")
def client() -> Iterator[Any]:
    """botocore's own client, by which bundles are published."""
    client = botocore.session.Session().create_client(
        "s3",
        endpoint_url=URL,
        region_name=KEYS.region,
        aws_access_key_id=KEYS.access_key,
        aws_secret_access_key=KEYS.secret_key,
        config=botocore.config.Config(s3={"addressing_style": "path"}),
    )
    client.create_bucket(Bucket=BUCKET)
    for tenant in TENANTS:
        client.put_object(Bucket=BUCKET, Key=FolderBundles.key(tenant, "ext", HASH), Body=ARCHIVE)
    yield client
    client.close()


@pytest.fixture
async def transport(client: Any) -> AsyncIterator[SocketTransport]:
    transport = SocketTransport(2, 2, max_answer_bytes=1 << 20)
    yield transport
    await transport.aclose()


def store(transport: SocketTransport, keys: S3Credentials | None = KEYS, **options: Any) -> HttpStore:
    return HttpStore(f"{URL}/{BUCKET}", keys, transport=transport, **options)


async def status_of(transport: SocketTransport, method: str, url: httpx.URL) -> int:
    headers = [(b"host", url.netloc)]
    request = httpx.Request(method, url, headers=headers, stream=httpx.ByteStream(b""))
    return (await send(transport, request, 1 << 20)).status


REFUSED = {
    "a wrong secret key": S3Credentials(KEYS.access_key, KEYS.secret_key + "x", KEYS.region),
    "an unknown access key": S3Credentials("no-such-key", KEYS.secret_key, KEYS.region),
    "no signature": None,
}


@pytest.mark.parametrize("keys", REFUSED.values(), ids=REFUSED.keys())
async def test_the_server_refuses(transport: SocketTransport, keys: S3Credentials | None) -> None:
    with pytest.raises(BundleError, match=r"403 Forbidden|404 Not Found"):  # 404 for an unknown access key
        await store(transport, keys).read(KEY, "t1")


async def test_the_server_refuses_a_wrong_secret_key_with_403(transport: SocketTransport) -> None:
    with pytest.raises(BundleDownloadFailed, match="403 Forbidden"):
        await store(transport, REFUSED["a wrong secret key"]).read(KEY, "t1")


async def test_the_server_refuses_a_changed_signature(transport: SocketTransport) -> None:
    url = presigned(KEYS, "GET", httpx.URL(f"{URL}/{BUCKET}/{KEY}"), datetime.now(UTC))
    digit = "0" if str(url)[-1] != "0" else "1"

    assert await status_of(transport, "GET", url) == 200
    assert await status_of(transport, "GET", httpx.URL(str(url)[:-1] + digit)) == 403


async def test_the_server_refuses_a_signature_for_another_object_or_method(
    transport: SocketTransport,
) -> None:
    url = presigned(KEYS, "GET", httpx.URL(f"{URL}/{BUCKET}/{KEY}"), datetime.now(UTC))
    other = FolderBundles.key("a b", "ext", HASH).replace(" ", "%20")

    assert await status_of(transport, "GET", url.copy_with(path=f"/{BUCKET}/{other}")) == 403
    assert await status_of(transport, "HEAD", url) == 403


async def test_the_server_refuses_an_expired_url(transport: SocketTransport) -> None:
    with pytest.raises(BundleDownloadFailed, match="403 Forbidden"):
        await store(transport, now=lambda: datetime.now(UTC) - timedelta(minutes=5)).read(KEY, "t1")


@pytest.mark.parametrize("tenant", TENANTS)
async def test_a_tenant_of_any_name_gets_its_bundle(
    transport: SocketTransport, tenant: str, tmp_path: Path
) -> None:
    bundles = RemoteBundles(store(transport), ArchiveCache(tmp_path / "cache", 1 << 20))

    assert dict((await bundles.fetch(tenant, "ext", HASH)).files) == FILES


async def test_a_bundle_that_is_not_there_is_not_found(transport: SocketTransport) -> None:
    with pytest.raises(BundleNotFound, match="404 Not Found"):
        await store(transport).read(FolderBundles.key("t2", "ext", HASH), "t2")


async def test_of_a_cached_bundle_the_server_is_asked_for_another_tenant_s_copy(
    transport: SocketTransport, tmp_path: Path
) -> None:
    bundles = RemoteBundles(store(transport), ArchiveCache(tmp_path / "cache", 1 << 20))
    await bundles.fetch("t1", "ext", HASH)

    assert dict((await bundles.fetch("a b", "ext", HASH)).files) == FILES
    with pytest.raises(BundleNotFound):
        await bundles.fetch("t2", "ext", HASH)


async def test_a_check_tells_wrong_keys_and_a_wrong_bucket_apart(transport: SocketTransport) -> None:
    checks = {
        "right": store(transport),
        **{name: store(transport, keys) for name, keys in REFUSED.items()},
        "bucket": HttpStore(f"{URL}/other", KEYS, transport=transport),
    }
    sentences = {name: (await one.check("tenants/none")).sentence for name, one in checks.items()}

    assert sentences == {
        "right": "The bundle store answers, and accepts the runner's requests.",
        "a wrong secret key": "The bundle store refuses the runner's signature.",
        "an unknown access key": "The bundle store refuses the runner's request: XAdminUserNotFound.",
        "no signature": "The bundle store refuses requests without a signature.",
        "bucket": "The bundle store has no such bucket.",
    }


async def test_alga_s_own_variables_lead_to_the_bundle(
    client: Any, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    for name, value in {
        "BUNDLE_STORE_BASE": f"{URL}/{BUCKET}/",
        "S3_ACCESS_KEY": KEYS.access_key,
        "S3_SECRET_KEY": KEYS.secret_key,
        "EXT_CACHE_ROOT": str(tmp_path),
    }.items():
        monkeypatch.setenv(name, value)
    bundles = bundle_source(Settings.load())

    assert dict((await bundles.fetch("t1", "ext", HASH)).files) == FILES
    assert await bundles.reachable()
    await bundles.aclose()
