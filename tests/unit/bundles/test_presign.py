"""Presigned URLs are those that botocore makes."""

from __future__ import annotations

from datetime import UTC, datetime

import botocore.auth
import httpx
import pytest
from botocore.awsrequest import AWSRequest
from botocore.credentials import Credentials
from hypothesis import given, settings
from hypothesis import strategies as st

from alga_runner.bundles.stores import S3Credentials, presigned
from alga_runner.bundles.stores.presign import EXPIRES_S, encoded_path

NOW = datetime(2026, 11, 30, 4, 5, 6, tzinfo=UTC)
TEXT = st.text(st.characters(min_codepoint=0x21, max_codepoint=0x7E), min_size=1, max_size=40)
SEGMENT = st.text(st.characters(exclude_categories=["C"]), min_size=1, max_size=12).filter(
    lambda text: text not in {".", ".."} and "/" not in text
)


def by_botocore(credentials: S3Credentials, method: str, url: str, now: datetime) -> httpx.URL:
    keys = Credentials(credentials.access_key, credentials.secret_key)
    request = AWSRequest(method=method, url=url)
    signer = botocore.auth.S3SigV4QueryAuth(keys, "s3", credentials.region, expires=EXPIRES_S)
    with pytest.MonkeyPatch.context() as patch:
        if hasattr(botocore.auth, "get_current_datetime"):
            patch.setattr(botocore.auth, "get_current_datetime", lambda *_, **__: now.replace(tzinfo=None))
        else:
            patch.setattr(botocore.auth.datetime, "datetime", _Stopped)
        signer.add_auth(request)
    return httpx.URL(request.url)


class _Stopped(datetime):
    @classmethod
    def utcnow(cls) -> datetime:  # type: ignore[override]
        return NOW.replace(tzinfo=None)


@settings(max_examples=50)
@given(
    credentials=st.builds(
        S3Credentials, TEXT, TEXT, st.sampled_from(["us-east-1", "eu-central-1", "garage"])
    ),
    method=st.sampled_from(["GET", "HEAD"]),
    origin=st.sampled_from(["http://localhost:9000", "https://s3.example.com", "http://127.0.0.1:80"]),
    segments=st.lists(SEGMENT, min_size=1, max_size=5),
)
def test_a_presigned_url_is_the_one_that_botocore_makes(
    credentials: S3Credentials, method: str, origin: str, segments: list[str]
) -> None:
    url = origin + encoded_path("/" + "/".join(segments))

    ours = presigned(credentials, method, httpx.URL(url), NOW)

    theirs = by_botocore(credentials, method, url, NOW)
    assert ours.raw_path.partition(b"?")[0].decode() == encoded_path("/" + "/".join(segments))
    assert sorted(ours.params.multi_items()) == sorted(theirs.params.multi_items())


def test_a_url_is_for_one_method_alone() -> None:
    credentials = S3Credentials(
        "AKIAIOSFODNN7EXAMPLE", "wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY", "us-east-1"
    )

    one = presigned(credentials, "GET", httpx.URL("http://h/b/k"), NOW)
    other = presigned(credentials, "HEAD", httpx.URL("http://h/b/k"), NOW)

    assert one.params["X-Amz-Date"] == "20261130T040506Z"
    assert one.params["X-Amz-Signature"] != other.params["X-Amz-Signature"]


def test_the_secret_key_is_not_shown() -> None:
    assert "hunter2" not in repr(S3Credentials("key", "hunter2", "us-east-1"))
