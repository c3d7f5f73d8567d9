"""Execution tokens: proof that an execution which this server started makes a host call.

A token is signed over tenant, install, request id and expiry (ARCHITECTURE.md). A host call names the first three in
its headers, so the token carries only the expiry: ``v1.<generation>.<expiry>.<signature>``, the expiry in milliseconds
since 1970, the signature HMAC-SHA256 in base64url.
"""

from __future__ import annotations

import base64
import hmac
import json
import re
import secrets
from collections.abc import Mapping
from copy import copy
from datetime import UTC, datetime, timedelta

import anyio
from sqlalchemy import Connection, insert, select
from sqlalchemy.exc import IntegrityError

from ..clock import Clock
from ..errors import ExecutionTokenInvalid
from ..storage import tables
from ..storage.database import Database

_VERSION = "v1"
_PURPOSE = "execution-token"
_FORM = re.compile(r"v1\.([0-9]{1,9})\.([0-9]{1,15})\.([A-Za-z0-9_-]{43})", re.ASCII)
_encode = json.JSONEncoder(separators=(",", ":")).encode
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


class _Try:
    """One try to read the keys. One that ends without keys or failure was its caller's, who was cancelled."""

    def __init__(self) -> None:
        self.ended = anyio.Event()
        self.failure: Exception | None = None


class ExecutionTokens:
    """Issues and verifies tokens. The key is made once per database, so that all its servers accept each token."""

    def __init__(self, database: Database, clock: Clock) -> None:
        self._database = database
        self._clock = clock
        self._keys: Mapping[int, bytes] = {}
        self._try: _Try | None = None

    async def issue(self, *, tenant_id: str, install_id: str, request_id: str, lifetime_s: float) -> str:
        """Return a token for one execution, valid for ``lifetime_s`` seconds of the server's clock."""
        keys = await self._load()
        generation = max(keys)
        expiry = str(_milliseconds(self._clock.now() + timedelta(seconds=lifetime_s)))
        claims = (str(generation), expiry, tenant_id, install_id, request_id)
        return f"{_VERSION}.{generation}.{expiry}.{_signature(keys[generation], claims)}"

    async def verify(self, token: str, *, tenant_id: str, install_id: str, request_id: str) -> None:
        """Raise ``ExecutionTokenInvalid`` unless ``token`` was issued for this execution and has not expired."""
        match = _FORM.fullmatch(token)
        if match is None:
            raise ExecutionTokenInvalid
        generation, expiry, signature = match.groups()
        key = (await self._load()).get(int(generation))
        if key is None:
            raise ExecutionTokenInvalid
        expected = _signature(key, (generation, expiry, tenant_id, install_id, request_id))
        if not hmac.compare_digest(signature, expected) or int(expiry) <= _milliseconds(self._clock.now()):
            raise ExecutionTokenInvalid

    async def _load(self) -> Mapping[int, bytes]:
        """Return the keys by generation, read from the database once.

        Executions that begin together, of schedules that are due together, share one try, and so its failure.
        """
        while not self._keys:
            under_way = self._try
            if under_way is None:
                await self._try_to_load()
            else:
                await under_way.ended.wait()
                if under_way.failure is not None:
                    raise copy(under_way.failure)  # raising adds frames to its traceback
        return self._keys

    async def _try_to_load(self) -> None:
        own = self._try = _Try()
        try:
            keys = await self._database.read(_stored)
            self._keys = keys or await self._database.write(self._stored_or_made)
        except Exception as failure:
            own.failure = copy(failure)
            raise
        finally:
            self._try = None
            own.ended.set()

    def _stored_or_made(self, connection: Connection) -> Mapping[int, bytes]:
        first = {
            "name": _PURPOSE,
            "generation": 1,
            "secret": secrets.token_bytes(32),
            "created_at": self._clock.now(),
        }
        if keys := _stored(connection):
            return keys
        try:
            with connection.begin_nested():
                connection.execute(insert(tables.server_secret).values(first))
        except IntegrityError:
            pass  # another server inserted its key first, and every server uses that one
        return _stored(connection)


def _stored(connection: Connection) -> Mapping[int, bytes]:
    own = tables.server_secret.c
    rows = connection.execute(select(own.generation, own.secret).where(own.name == _PURPOSE))
    return {row.generation: row.secret for row in rows}


def _signature(key: bytes, claims: tuple[str, ...]) -> str:
    # JSON separates the claims: two different lists never give the same text.
    text = _encode([_PURPOSE, _VERSION, *claims])
    # hmac.digest lets another thread run meanwhile, and waits until that is done.
    mac = hmac.new(key, text.encode(), "sha256").digest()
    return base64.urlsafe_b64encode(mac).rstrip(b"=").decode()


def _milliseconds(instant: datetime) -> int:
    return (instant - _EPOCH) // timedelta(milliseconds=1)
