"""The messages between the supervisor and a worker. A question has a ``number``, which its answers repeat.

To the worker:

=============  ====================================  ================================================
kind           members                               meaning
=============  ====================================  ================================================
start          worker, index, settings,              the first message: the worker's number, its
               require_token                         index in the connection counts, its settings
workers        ready, of                             how many workers answer, of how many
retire                                               take no more connections, end when none is left
drain                                                refuse executions, end when none is left
stop                                                 end now
measure        round                                 send ``counters``
claim_granted  number                                answers ``claim``: execute, then ``release``
reply          number, reply                         answers ``claim``: the stored reply
key_reused     number                                answers ``claim``: the key has another request
metrics        number, snapshot                      answers ``metrics``: the sum of all workers
=============  ====================================  ================================================

To the supervisor:

=============  ====================================  ================================================
kind           members                               meaning
=============  ====================================  ================================================
failed         code, message, hint                   the worker cannot start
ready                                                the worker answers requests
counters       round, snapshot, resident             its metrics, the last round it was asked for,
                                                     its resident memory in bytes
replace        why                                   replace this worker: ``memory``, ``asked``
claim          number, digest, fingerprint, tenant   claim an idempotency key
release        number, reply                         end the claim; the reply to store, or None
metrics        number                                send the sum of all workers' metrics
=============  ====================================  ================================================
"""

from __future__ import annotations

from collections.abc import Iterable

from pydantic import TypeAdapter, ValidationError

from ..errors import AlgaError, WorkerFailed
from ..service.http import Answer
from ..settings import MIB, Settings
from ..telemetry.exposition import Family, Sample, Snapshot
from ..telemetry.metrics import FAMILIES
from .channel import ChannelBroken

_SNAPSHOT: TypeAdapter[Snapshot] = TypeAdapter(Snapshot)


def max_message_bytes(settings: Settings) -> int:
    """Room for a reply whose body is ``max_body_bytes`` in base64, and for its headers."""
    return 2 * settings.max_body_bytes + MIB


def snapshot_of(value: object, families: Iterable[Family] = FAMILIES) -> Snapshot:
    """The metrics snapshot in ``value``, which can be added to others. Raises ``ChannelBroken``."""
    try:
        snapshot = _SNAPSHOT.validate_python(value)
    except ValidationError:
        raise ChannelBroken("a value that is not a snapshot of metrics") from None
    known = {family.name: family for family in families}
    for name, samples in snapshot.items():
        family = known.get(name)
        if family is None or not all(_fits(family, *sample) for sample in samples):
            raise ChannelBroken("an unknown metric")
    return snapshot


def _fits(family: Family, labels: list[str], sample: Sample) -> bool:
    numbers = len(family.bounds) + 2 if family.kind == "histogram" else 1
    return len(labels) == len(family.labels) and len(sample) == numbers


def reply_document(answer: Answer) -> list[object]:
    """``answer`` as a message carries it."""
    return [answer.status, answer.body, answer.content_type, list(answer.headers), answer.outcome]


def reply_of(value: object) -> Answer:
    """The answer in ``value``. Raises ``ChannelBroken``."""
    match value:
        case [int(status), bytes(body), bytes(content_type), list(pairs), None | str() as outcome]:
            return Answer(status, body, content_type, tuple(map(_pair, pairs)), outcome)
    raise ChannelBroken("a value that is not a reply")


def _pair(value: object) -> tuple[bytes, bytes]:
    match value:
        case [bytes(name), bytes(text)]:
            return name, text
    raise ChannelBroken("a value that is not a header")


def failure_of(code: object, message: object, hint: object) -> AlgaError:
    """The error that kept a worker from starting, of the class that its code names."""
    kind = _leaves(AlgaError).get(str(code), WorkerFailed)
    return kind(str(message), hint=None if hint is None else str(hint))


def _leaves(kind: type[AlgaError]) -> dict[str, type[AlgaError]]:
    """By code, the classes that are made of a sentence and a hint."""
    leaves = {kind.code: kind} if kind.__init__ is AlgaError.__init__ and "code" in vars(kind) else {}
    for child in kind.__subclasses__():
        leaves |= _leaves(child)
    return leaves
