"""Presigned URLs of S3 and its like: Signature Version 4 in the query, over the host alone."""

from __future__ import annotations

import hashlib
import hmac
from dataclasses import dataclass, field
from datetime import UTC, datetime
from urllib.parse import quote, urlencode

import httpx

EXPIRES_S = 60
"""How long a URL is valid (alga-contract 3)."""

_ALGORITHM = "AWS4-HMAC-SHA256"
_PAYLOAD = "UNSIGNED-PAYLOAD"


@dataclass(frozen=True, slots=True)
class S3Credentials:
    """The keys of a store that verifies signatures, and its region."""

    access_key: str
    secret_key: str = field(repr=False)
    region: str


def presigned(credentials: S3Credentials, method: str, url: httpx.URL, now: datetime) -> httpx.URL:
    """``url``, which has no query, with a signature that lets its bearer send ``method`` for ``EXPIRES_S``.

    Its path is encoded as ``encoded_path`` does.
    """
    moment = now.astimezone(UTC).strftime("%Y%m%dT%H%M%SZ")
    scope = f"{moment[:8]}/{credentials.region}/s3/aws4_request"
    query = urlencode(
        {
            "X-Amz-Algorithm": _ALGORITHM,
            "X-Amz-Credential": f"{credentials.access_key}/{scope}",
            "X-Amz-Date": moment,
            "X-Amz-Expires": str(EXPIRES_S),
            "X-Amz-SignedHeaders": "host",
        },
        quote_via=quote,
        safe="-_.~",
    )
    path, host = url.raw_path.decode("ascii"), url.netloc.decode("ascii")
    request = "\n".join([method, path, query, f"host:{host}", "", "host", _PAYLOAD])
    digest = hashlib.sha256(request.encode()).hexdigest()
    text = "\n".join([_ALGORITHM, moment, scope, digest])
    key = f"AWS4{credentials.secret_key}".encode()
    for part in (moment[:8], credentials.region, "s3", "aws4_request"):
        key = _hmac(key, part)
    return url.copy_with(query=f"{query}&X-Amz-Signature={_hmac(key, text).hex()}".encode())


def encoded_path(path: str) -> str:
    """``path`` as S3 signs it: every byte encoded but letters, digits, ``-._~`` and the slashes."""
    return quote(path, safe="/-_.~")


def _hmac(key: bytes, text: str) -> bytes:
    return hmac.digest(key, text.encode(), "sha256")
