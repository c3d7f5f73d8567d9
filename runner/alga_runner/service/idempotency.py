"""A request sent again is not carried out again: its key's place, its fingerprint, and the seam where replies are kept.

Upstream's map has no scope, bound, fingerprint or lock (alga-contract 7, fault 1). Here a key belongs to one install
of one tenant, a reply is only given back for the same request, everything kept is bounded, and a request that finds
its twin under way waits for it. Keys are kept as hashes.
"""

from __future__ import annotations

import hashlib
from abc import ABC, abstractmethod
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, replace

from pydantic_core import to_json

from ..models import ExecuteRequest
from .http import Answer

_REPLAYED = (b"idempotent-replayed", b"true")


class KeyReused(Exception):
    """The key was used for another request."""


@dataclass(frozen=True, slots=True)
class IdempotencyKey:
    """Where a reply is kept, what request it answers, and whose room it takes; all are SHA-256 digests."""

    place: bytes
    fingerprint: bytes
    tenant: bytes

    @classmethod
    def of(cls, key: bytes, request: ExecuteRequest) -> IdempotencyKey:
        """The place of ``key`` for the request's install, and the request's fingerprint.

        The place has the trigger too: whoever calls through the gateway chooses the key, and must not be able to take
        the one that a schedule's run will have. The fingerprint covers what the caller asks for: method, path, query,
        content type, body, user, schedule and nominal time. It leaves out what differs when the same request is sent
        again (request id, execution token, tracing headers), and what others decide (version, grants, configuration,
        limits).
        """
        context, http = request.context, request.http
        scope = [context.tenant_id, context.extension_id, context.install_id, context.trigger]
        asked = [
            http.method,
            http.path,
            sorted(http.query.items()),
            [value for name, value in http.headers.items() if name.lower() == "content-type"],
            request.user,
            context.schedule_id,
            context.nominal_time,
            http.body_b64 is None,
        ]
        place = hashlib.sha256(to_json(scope) + key)
        fingerprint = hashlib.sha256(to_json(asked))
        fingerprint.update((http.body_b64 or "").strip().encode())
        tenant = hashlib.sha256(context.tenant_id.encode())
        return cls(place.digest(), fingerprint.digest(), tenant.digest())


class Replies(ABC):
    """Replies kept for their idempotency keys."""

    @abstractmethod
    async def once(self, keyed: IdempotencyKey, carry_out: Callable[[], Awaitable[Answer]]) -> Answer:
        """The kept reply, or what ``carry_out`` answers; of its answers, guests' replies (``ok``) are kept.

        A kept one is marked as ``replayed`` made it. While another request is being carried out for the same place,
        this one waits; where that one ends without a guest's reply, one of those who waited is next. Raises
        ``KeyReused`` for another request under the key.
        """


def replayed(answer: Answer) -> Answer:
    """``answer`` as it is given to those who send the request again."""
    return replace(answer, headers=(*answer.headers, _REPLAYED), outcome="replayed")
