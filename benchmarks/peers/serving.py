"""How the peers are served: uvicorn with httptools and uvloop, as ``uvicorn[standard]`` has it, without access log."""

from __future__ import annotations

import socket
from collections.abc import Awaitable, Callable, MutableMapping
from typing import Any, Literal

import uvicorn

Message = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[Message]]
Send = Callable[[Message], Awaitable[None]]
App = Callable[[Message, Receive, Send], Awaitable[None]]


def answering(handle: Callable[[bytes], Awaitable[bytes]]) -> App:
    """An ASGI app that answers every request with what ``handle`` makes of its body."""

    async def app(scope: Message, receive: Receive, send: Send) -> None:
        body, more = b"", True
        while more:
            message = await receive()
            body += message["body"]
            more = message["more_body"]
        answer = await handle(body)
        headers = [(b"content-type", b"application/json"), (b"content-length", b"%d" % len(answer))]
        await send({"type": "http.response.start", "status": 200, "headers": headers})
        await send({"type": "http.response.body", "body": answer})

    return app


def serve(
    app: Any,
    *,
    http: Literal["h11", "httptools"] = "httptools",
    loop: Literal["asyncio", "uvloop"] = "uvloop",
) -> None:
    """Serve on a free port until SIGTERM; print the address first."""
    with socket.create_server(("127.0.0.1", 0), backlog=2048) as listener:
        listener.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        print(f"http://127.0.0.1:{listener.getsockname()[1]}", flush=True)
        config = uvicorn.Config(
            app,
            http=http,
            loop=loop,
            lifespan="off",
            log_config=None,
            access_log=False,
            timeout_keep_alive=75,  # as the runner has it: the load keeps its connections while others have their turn
        )
        uvicorn.Server(config).run(sockets=[listener])
