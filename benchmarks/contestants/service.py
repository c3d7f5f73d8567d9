"""The service without a socket: its ASGI app, called as a server would call it."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, MutableMapping
from typing import Any, Self

from pydantic_core import to_json

from alga_runner.service import create_service

from ..child import Counts, Work, WrongAnswer
from .alga import Execute
from .crowd import crowd
from .load import headers, response
from .sampled import with_samples

Message = MutableMapping[str, Any]


class InProcess(Execute):
    """One request at a time, or as many as the order's ``in_flight``."""

    async def __aenter__(self) -> Self:
        await super().__aenter__()
        self._service = create_service(self.runner, require_token=False)
        return self

    async def prepare(self, order: Mapping[str, Any]) -> Work:
        """Lay the requests out."""
        tasks = self.tasks(order)
        bodies = {id(task): to_json(task.document) for task in tasks}
        answers = {id(task): to_json(response(task)) for task in tasks}
        connected = asyncio.Event()  # for ever: no client goes away

        async def do(number: int) -> None:
            task = tasks[number]
            body = bodies[id(task)]
            scope = {"type": "http", "method": "POST", "path": "/v1/execute", "headers": headers(task, body)}
            messages: list[Message] = [{"type": "http.request", "body": body, "more_body": False}]
            sent: list[Message] = []

            async def receive() -> Message:
                if messages:
                    return messages.pop()
                await connected.wait()
                return {"type": "http.disconnect"}

            async def send(message: Message) -> None:
                sent.append(message)

            await self._service(scope, receive, send)
            if sent[0]["status"] != 200 or sent[1]["body"] != answers[id(task)]:
                raise WrongAnswer(sent)

        async def run() -> Counts:
            await crowd(order["in_flight"], len(tasks), do)
            return {"done": len(tasks), "checked": len(tasks)}

        return run


class InProcessSampled(InProcess):
    """With a timer that samples the running function."""

    async def prepare(self, order: Mapping[str, Any]) -> Work:
        """As without; the counts have the samples, too."""
        return with_samples(await super().prepare(order))
