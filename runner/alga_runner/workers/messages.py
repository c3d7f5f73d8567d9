"""What the supervisor and a worker say to each other. A question has a ``number``, which its answers repeat.

To the worker:

=========  ===================================  =================================================
kind       members                              meaning
=========  ===================================  =================================================
start      worker, seat, settings,              be this worker; the first message
           require_token
fleet      ready, of                            so many workers answer, of so many
retire                                          take no more connections, end when there are none
drain                                           refuse executions, end when there are none
stop                                            end now
measure    ask                                  say what you counted
carry_out  number                               answers claim: it is your turn; then say ``done``
reply      number, reply                        answers claim: there is a reply already
reused     number                               answers claim: the key has another request
metrics    number, snapshot                     answers metrics: the sum of what all counted
=========  ===================================  =================================================

To the supervisor:

=========  ===================================  =================================================
kind       members                              meaning
=========  ===================================  =================================================
failed     code, message, hint                  it cannot start
ready                                           it answers
counted    ask, snapshot, resident              what it counted, the last ``measure`` that it had
                                                seen, its resident memory in bytes
replace    why                                  it should be replaced: ``memory``, ``asked``
claim      number, place, fingerprint, tenant   may it carry out this request?
done       number, reply                        it did; None is a reply that is not kept
metrics    number                               what has everybody counted?
=========  ===================================  =================================================
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
    """The snapshot that was sent, which can be added to others. Raises ``ChannelBroken``."""
    try:
        snapshot = _SNAPSHOT.validate_python(value)
    except ValidationError:
        raise ChannelBroken("what is no snapshot of metrics") from None
    known = {family.name: family for family in families}
    for name, samples in snapshot.items():
        family = known.get(name)
        if family is None or not all(_fits(family, *each) for each in samples):
            raise ChannelBroken("numbers of a metric that there is not")
    return snapshot


def _fits(family: Family, labels: list[str], sample: Sample) -> bool:
    numbers = len(family.bounds) + 2 if family.kind == "histogram" else 1
    return len(labels) == len(family.labels) and len(sample) == numbers


def reply_document(answer: Answer) -> list[object]:
    """``answer`` as it travels."""
    return [answer.status, answer.body, answer.content_type, list(answer.headers), answer.outcome]


def reply_of(value: object) -> Answer:
    """The answer in ``value``. Raises ``ChannelBroken``."""
    match value:
        case [int(status), bytes(body), bytes(content_type), list(pairs), None | str() as outcome]:
            return Answer(status, body, content_type, tuple(map(_pair, pairs)), outcome)
    raise ChannelBroken("what is no reply")


def _pair(value: object) -> tuple[bytes, bytes]:
    match value:
        case [bytes(name), bytes(text)]:
            return name, text
    raise ChannelBroken("what is no header")


def failure_of(code: object, message: object, hint: object) -> AlgaError:
    """The error that kept a worker from starting, of the class that its code names."""
    kind = _leaves(AlgaError).get(str(code), WorkerFailed)
    return kind(str(message), hint=None if hint is None else str(hint))


def _leaves(kind: type[AlgaError]) -> dict[str, type[AlgaError]]:
    """By code, those that are made of a sentence and a hint."""
    found = {kind.code: kind} if kind.__init__ is AlgaError.__init__ and "code" in vars(kind) else {}
    for child in kind.__subclasses__():
        found |= _leaves(child)
    return found
