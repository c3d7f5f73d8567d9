"""An Alga server in this process: the HTTP client without a socket."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, MutableMapping
from typing import Any

import httpx
from pydantic import SecretStr

from .dialects import Dialect
from .http import HttpAlgaServer

Message = MutableMapping[str, Any]
AsgiApp = Callable[
    [Message, Callable[[], Awaitable[Message]], Callable[[Message], Awaitable[None]]], Awaitable[None]
]


class InProcessAlgaServer(HttpAlgaServer):
    """The Alga server that the ASGI application ``app`` is. Its lifespan is its owner's business."""

    def __init__(
        self, app: AsgiApp, token: SecretStr, *, timeout_s: float = 30.0, dialect: Dialect | None = None
    ) -> None:
        transport = httpx.ASGITransport(app, raise_app_exceptions=False)
        client = httpx.AsyncClient(transport=transport, trust_env=False)
        super().__init__("http://in-process", token, timeout_s=timeout_s, client=client, dialect=dialect)
