"""Replies kept in this process, for this process."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable

from .http import Answer
from .idempotency import IdempotencyKey, Replies
from .ledger import ReplyCache


class KeptReplies(Replies):
    """Waits as the rules of ``ledger`` say."""

    def __init__(self, ledger: ReplyCache) -> None:
        self._ledger = ledger

    async def once(self, keyed: IdempotencyKey, carry_out: Callable[[], Awaitable[Answer]]) -> Answer:
        """See ``Replies.once``."""
        news: asyncio.Future[Answer | None] = asyncio.get_running_loop().create_future()

        def tell(answer: Answer | None) -> None:
            if not news.done():  # else it has been given up, and is about to give its ticket back
                news.set_result(answer)

        found = self._ledger.claim(keyed, tell)
        if isinstance(found, Answer):
            return found
        reply: Answer | None = None
        try:
            if not found.first and (answer := await news) is not None:
                return answer
            answer = await carry_out()
            if answer.outcome == "ok":
                reply = answer
            return answer
        finally:
            self._ledger.give_back(found, reply)
