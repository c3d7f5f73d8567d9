"""What a worker has in common with the others, through the supervisor: idempotent replies, and metrics."""

from __future__ import annotations

from collections.abc import Awaitable, Callable

import anyio

from ..service.http import Answer, Refused
from ..service.idempotency import IdempotencyKey, KeyReused, Replies
from ..service.peers import Peers, Workers
from ..telemetry.exposition import render
from ..telemetry.metrics import FAMILIES
from .channel import ChannelClosed, Message
from .link import Link
from .messages import reply_document, reply_of, snapshot_of
from .totals import WORKER_FAMILIES

_FAMILIES = (*FAMILIES, *WORKER_FAMILIES)

PATIENCE_S = 5.0
"""How long the supervisor may take to say what all counted. It waits for workers that hang, but not so long."""


class SharedReplies(Replies):
    """Replies that the supervisor keeps for all workers."""

    def __init__(self, link: Link) -> None:
        self._link = link

    async def once(self, keyed: IdempotencyKey, carry_out: Callable[[], Awaitable[Answer]]) -> Answer:
        """See ``Replies.once``. A reply is with the supervisor before it is given to anybody."""
        with self._link.question() as question:
            try:
                question.ask(
                    {
                        "kind": "claim",
                        "place": keyed.place,
                        "fingerprint": keyed.fingerprint,
                        "tenant": keyed.tenant,
                    }
                )
            except ChannelClosed:
                await anyio.sleep_forever()  # this worker was told to stop: that cancels all it has
            last_word: Message | None = {"kind": "done", "reply": None}
            try:
                match await question.answer():
                    case {"kind": "carry_out"}:
                        answer = await carry_out()
                        if answer.outcome == "ok":
                            last_word = {"kind": "done", "reply": reply_document(answer)}
                        return answer
                    case {"kind": "reply", "reply": reply}:
                        last_word = None
                        return reply_of(reply)
                    case _:
                        last_word = None
                        raise KeyReused
            finally:
                if last_word is not None:
                    await question.conclude(last_word)


class WorkerPeers(Peers):
    """The workers of one machine."""

    def __init__(self, link: Link) -> None:
        self._link = link

    @property
    def workers(self) -> Workers | None:
        """How many answer, of how many."""
        return self._link.workers

    async def metrics(self) -> bytes:
        """What all of them counted."""
        with anyio.move_on_after(PATIENCE_S), self._link.question() as question:
            try:
                question.ask({"kind": "metrics"})
                answer = await question.answer()
            except ChannelClosed:
                pass
            else:
                return render(_FAMILIES, [snapshot_of(answer["snapshot"], _FAMILIES)])
        raise Refused(
            503, "metrics_unavailable", "The runner's workers could not be asked what they counted."
        )
